//! Tells the user what takes long: downloads, installations, builds.

use std::sync::Mutex;

type Hook = Box<dyn Fn(&str) + Send>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Sends notices to `hook` instead of standard error.
pub fn redirect(hook: impl Fn(&str) + Send + 'static) {
    if let Ok(mut current) = HOOK.lock() {
        *current = Some(Box::new(hook));
    }
}

/// Sends notices to standard error again.
pub fn reset() {
    if let Ok(mut current) = HOOK.lock() {
        *current = None;
    }
}

/// One line for the user.
pub fn say(text: &str) {
    match HOOK.lock().as_deref() {
        Ok(Some(hook)) => hook(text),
        _ => eprintln!("testbed: {text}"),
    }
}
