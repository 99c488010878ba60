//! Logging in by the modules of a login configuration (`LoginContext`, `PropertyFileLoginModule`).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_config::properties::load_latin1;
use connect_tls::{JaasModule, LoginFlag};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

/// The module that reads users from a file.
const PROPERTY_FILE: &str = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";

/// How long a file that could not be read is not tried again; it refuses everybody meanwhile.
const RETRY_TIME: Duration = Duration::from_secs(5);

type Users = Arc<HashMap<String, String>>;

/// What became of reading a file.
enum Read {
    Users(Users),
    /// It can't be read; since when.
    Failed(Instant),
}

/// The modules in their order, and the files that were read: each once, when it is first needed.
pub(super) struct Login {
    modules: Vec<JaasModule>,
    files: Mutex<HashMap<String, Read>>,
}

/// Never shows options or users.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("modules", &self.modules.len()).finish_non_exhaustive()
    }
}

/// A module that can't do its work; that is a failed login.
struct Broken;

impl Login {
    pub(super) fn new(modules: Vec<JaasModule>) -> Self {
        if let Some(module) = modules.iter().find(|module| module.class != PROPERTY_FILE) {
            tracing::warn!(class = module.class, "this login module is not known, so every request will be refused");
        }
        Self { modules, files: Mutex::default() }
    }

    /// Whether these credentials log in. `LoginContext` has a module that says no ignored, and asks the next one; it
    /// suffices that one says yes, as long as none that is required breaks down.
    pub(super) fn permits(&self, credentials: Option<(&str, &str)>) -> bool {
        let mut permitted = false;
        let mut required_broke = false;
        for module in &self.modules {
            if module.class != PROPERTY_FILE {
                return false;
            }
            match self.ask(module, credentials) {
                Ok(true) if module.flag == LoginFlag::Sufficient && !required_broke => return true,
                Ok(yes) => permitted |= yes,
                Err(Broken) => match module.flag {
                    LoginFlag::Requisite => return false,
                    LoginFlag::Required => required_broke = true,
                    LoginFlag::Sufficient | LoginFlag::Optional => {}
                },
            }
        }
        permitted && !required_broke
    }

    /// Asks the module that reads a file. A file without users lets everybody pass.
    fn ask(&self, module: &JaasModule, credentials: Option<(&str, &str)>) -> Result<bool, Broken> {
        let file = module.options.get("file").map(String::as_str).filter(|file| !file.trim().is_empty());
        let Some(file) = file else {
            tracing::error!("the login module has no option 'file', which names the file of users and passwords");
            return Err(Broken);
        };
        let users = self.users(file, Instant::now())?;
        if users.is_empty() {
            return Ok(true);
        }
        let Some((user, password)) = credentials else { return Ok(false) };
        // An unknown user takes as long as a wrong password.
        let expected = users.get(user);
        let equal = password.as_bytes().ct_eq(expected.map_or(password, String::as_str).as_bytes());
        Ok(bool::from(equal) && expected.is_some())
    }

    fn users(&self, file: &str, now: Instant) -> Result<Users, Broken> {
        let mut files = self.files.lock();
        match files.get(file) {
            Some(Read::Users(users)) => return Ok(Arc::clone(users)),
            Some(Read::Failed(at)) if now.duration_since(*at) < RETRY_TIME => return Err(Broken),
            Some(Read::Failed(_)) | None => {}
        }
        match read(file) {
            Ok(users) => {
                if users.is_empty() {
                    tracing::warn!(file, "the file of users and passwords is empty: all requests will be permitted");
                }
                let users: Users = Arc::new(users);
                files.insert(file.to_owned(), Read::Users(Arc::clone(&users)));
                Ok(users)
            }
            Err(error) => {
                tracing::error!(file, %error, "the file of users and passwords can't be read");
                files.insert(file.to_owned(), Read::Failed(now));
                Err(Broken)
            }
        }
    }
}

/// The users of a file with their passwords.
fn read(file: &str) -> Result<HashMap<String, String>, Box<dyn std::error::Error>> {
    Ok(load_latin1(&std::fs::read(file)?)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("ann"), "ann=secret\nbob=pass\\:word\n").unwrap();
            std::fs::write(directory.path().join("cid"), "cid: c\n").unwrap();
            std::fs::write(directory.path().join("nobody"), "# nobody\n").unwrap();
            Self(directory)
        }

        /// A login of `flag file` pairs.
        fn login(&self, modules: &[(LoginFlag, &str)]) -> Login {
            let module = |(flag, file): &(LoginFlag, &str)| JaasModule {
                class: PROPERTY_FILE.to_owned(),
                flag: *flag,
                options: [("file".to_owned(), self.0.path().join(file).display().to_string())].into_iter().collect(),
            };
            Login::new(modules.iter().map(module).collect())
        }
    }

    use LoginFlag::{Optional, Required, Requisite, Sufficient};

    #[test]
    fn users_log_in_with_their_password_only() {
        let login = Files::new().login(&[(Required, "ann")]);
        // The files are gone by now: an unreadable file refuses everybody.
        assert!(!login.permits(Some(("ann", "secret"))));
        let files = Files::new();
        let login = files.login(&[(Required, "ann")]);
        assert!(login.permits(Some(("ann", "secret"))));
        assert!(login.permits(Some(("bob", "pass:word"))));
        for refused in [None, Some(("ann", "Secret")), Some(("ann", "")), Some(("eve", "secret")), Some(("", ""))] {
            assert!(!login.permits(refused), "{refused:?}");
        }
    }

    #[test]
    fn a_file_is_read_once_and_an_empty_one_lets_everybody_pass() {
        let files = Files::new();
        let login = files.login(&[(Required, "nobody")]);
        assert!(login.permits(None));
        std::fs::write(files.0.path().join("nobody"), "ann=secret").unwrap();
        assert!(login.permits(None));
    }

    #[test]
    fn a_file_that_can_not_be_read_is_tried_again_after_some_time() {
        let files = Files::new();
        let (login, now) = (files.login(&[]), Instant::now());
        let file = files.0.path().join("late").display().to_string();
        assert!(login.users(&file, now).is_err());
        std::fs::write(&file, "ann=secret").unwrap();
        assert!(login.users(&file, now + RETRY_TIME / 2).is_err());
        assert!(login.users(&file, now + RETRY_TIME).is_ok_and(|users| users.len() == 1));
    }

    #[test]
    fn a_module_that_says_no_is_ignored_and_one_that_breaks_counts_by_its_flag() {
        let files = Files::new();
        let permits = |modules: &[(LoginFlag, &str)]| files.login(modules).permits(Some(("cid", "c")));
        assert!(permits(&[(Required, "ann"), (Required, "cid")]));
        assert!(permits(&[(Sufficient, "cid"), (Required, "missing")]));
        assert!(!permits(&[(Required, "missing"), (Sufficient, "cid")]));
        assert!(!permits(&[(Required, "cid"), (Required, "missing")]));
        assert!(!permits(&[(Requisite, "missing"), (Required, "cid")]));
        assert!(permits(&[(Optional, "missing"), (Required, "cid")]));
        assert!(!permits(&[]));
    }

    #[test]
    fn an_unknown_module_and_one_without_a_file_refuse_everybody() {
        let module = |class: &str| JaasModule { class: class.to_owned(), flag: Optional, options: Default::default() };
        assert!(!Login::new(vec![module("no.Such")]).permits(Some(("a", "b"))));
        assert!(!Login::new(vec![module(PROPERTY_FILE)]).permits(Some(("a", "b"))));
    }
}
