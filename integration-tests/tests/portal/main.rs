//! The portal in a real browser. In `whole` it is a worker's, with real servers at both ends; else it is that of the demo of
//! `connect-rest`: the real server, with jobs that pretend, so that every state is there to be looked at.
//!
//! `UPDATE_SCREENSHOTS=1` renews the pictures in `screenshots/`.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod browser;
#[path = "../../../rest/examples/portal_demo/demo/mod.rs"]
mod demo;
#[path = "../jobs/support.rs"]
#[allow(dead_code, reason = "the tests of jobs use the rest")]
mod shop;
mod whole;

use browser::{Browser, LIMIT};
use demo::Demo;
use fantoccini::key::Key;
use integration_tests::testbed::{eventually_async, ports};
use serde_json::json;

/// A demo on a free port, and a browser that looks at it.
async fn visit(pace: f64) -> (Demo, Browser) {
    let demo = Demo::start("http://127.0.0.1:0", pace).await.unwrap();
    let browser = Browser::open(&demo.url).await;
    (demo, browser)
}

async fn leave(demo: Demo, browser: Browser) {
    browser.close().await;
    demo.stop().await;
}

/// The line of a job in the list.
fn line(job: &str) -> String {
    format!("tr[data-job='{job}']")
}

const REASON: &str = ".head .badge";

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_every_job_and_its_figures_move() {
    let (demo, browser) = visit(0.5).await;
    browser.sees("h1", &["Jobs"]).await;
    browser.sees("#link-text", &["Live"]).await;
    for (job, parts) in [
        ("shop", ["Running", "SNAPSHOT", "rows/s"].as_slice()),
        ("orders", &["Running", "STREAMING", "events/s", "Live", "ms"]),
        ("billing", &["Paused", "log retention"]),
        ("crm", &["Failed"]),
        ("inventory", &["Starting", "attempt 4 of 10"]),
        ("archive-2025", &["CDC Completed"]),
        ("legacy-import", &["Snapshot cancelled"]),
        ("events-backup", &["Stopped"]),
        ("draft", &["Created"]),
        ("file-lines", &["single connector"]),
    ] {
        browser.sees(&line(job), parts).await;
    }
    let before = browser.sees(&line("shop"), &["%"]).await;
    eventually_async("the snapshot to move", LIMIT, async || {
        let now = browser.text(&line("shop")).await.unwrap_or_default();
        if now == before { Err(now) } else { Ok(()) }
    })
    .await
    .unwrap();
    browser.find(&format!("{} svg.spark path", line("orders"))).await;
    browser.resize(1280, 990).await;
    browser.picture("jobs-light").await;
    browser.fill("#search", "order").await;
    browser.gone(&line("crm")).await;
    browser.sees(&line("orders"), &["Running"]).await;
    browser.fill("#search", "nothing like it").await;
    browser.sees(".empty", &["No job is like that"]).await;
    browser.press_button(".empty", "Show all jobs").await;
    browser.click("button[data-group=failed]").await;
    browser.gone(&line("orders")).await;
    browser.sees(&line("crm"), &["Failed"]).await;
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_jobs_are_paused_and_resumed() {
    let (demo, browser) = visit(1.0).await;
    browser.sees(&line("orders"), &["Running"]).await;
    browser.press_button("main", "Pause all").await;
    browser.sees("dialog", &["orders", "retention period", "Pause all"]).await;
    browser.press_button("dialog", "Pause all").await;
    for job in ["orders", "shop", "telemetry"] {
        browser.sees(&line(job), &["Paused"]).await;
    }
    browser.press_button("main", "Resume all").await;
    browser.press_button("dialog", "Resume all").await;
    for job in ["orders", "shop", "billing"] {
        browser.sees(&line(job), &["Running"]).await;
    }
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_made_once_its_mistakes_are_mended_and_its_snapshot_is_watched() {
    let (demo, browser) = visit(0.5).await;
    browser.click("nav a[data-page=new]").await;
    browser.fill("#name", "orders").await;
    browser.sees("#name-error", &["There is a job orders already"]).await;
    browser.fill("#name", "webshop").await;
    browser.gone("#name-error span").await;
    browser.fill("#host", "nowhere.example.com").await;
    browser.fill("#dbname", "shop").await;
    browser.fill("#user", "replicator").await;
    browser.fill("#password", "hunter2").await;
    browser.sees("#host-error", &["can't be found"]).await;
    browser.sees("#judged-source", &["One thing is wrong"]).await;
    assert_eq!(browser.text("#uri-error").await.as_deref(), Some(""), "a field that nobody touched yet is not wrong");
    browser.fill("#uri", "postgres://mongo").await;
    browser.sees("#uri-error", &["mongodb://"]).await;
    browser.click("#submit").await;
    browser.sees("#refused", &["put right first"]).await;
    browser.sees("#database-error", &["Database is needed"]).await;
    browser.picture("create-with-problems").await;
    browser.fill("#host", "db.example.com").await;
    browser.fill("#uri", "mongodb://writer:hunter2@mongo.example.com").await;
    browser.fill("#database", "shop").await;
    browser.fill("#tables", "public.orders, public.customers").await;
    browser.sees("#judged-source", &["this works"]).await;
    browser.sees("#judged-sink", &["this works"]).await;
    let preview = browser.run("return document.querySelector('#preview').textContent").await;
    let preview = preview.as_str().unwrap();
    assert!(
        preview.contains("\"topics.regex\": \"webshop\\\\..*\"") && preview.contains("\"slot.name\": \"webshop\""),
        "{preview}"
    );
    assert!(!preview.contains("hunter2"), "the preview shows a secret: {preview}");
    browser.click("#submit").await;
    browser.sees("h1", &["webshop"]).await;
    assert_eq!(browser.hash().await, "#/jobs/webshop");
    browser.sees("[data-phase=SNAPSHOT]", &["Running"]).await;
    browser.sees("tr[data-table='public.customers']", &["%", "of about"]).await;
    browser.sees("tr[data-table='public.customers']", &["Completed", "100 %"]).await;
    browser.sees("[data-phase=STREAMING]", &["Running"]).await;
    browser.sees("section[data-key=streaming]", &["Events per second", "Lag", "webshop-sink"]).await;
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_says_how_long_it_can_last_and_resuming_goes_on() {
    let (demo, browser) = visit(1.0).await;
    browser.go("#/jobs/orders").await;
    browser.sees(REASON, &["Running"]).await;
    browser.press_button("main", "Pause").await;
    browser.sees("dialog", &["Pause orders?", "You must resume the job", "6 h 46 min", "no events are lost"]).await;
    browser.press_button("dialog", "Cancel").await;
    browser.gone("dialog").await;
    assert_eq!(browser.text(REASON).await.as_deref(), Some("Running"));
    browser.press_button("main", "Pause").await;
    browser.press_button("dialog", "Pause CDC").await;
    // First, because it may go by itself.
    browser.sees("#toasts", &["about 6 hours"]).await;
    browser.sees(REASON, &["Paused"]).await;
    browser.sees("[data-phase=STREAMING]", &["Paused"]).await;
    browser.press_button("main", "Resume").await;
    browser.sees(REASON, &["Running"]).await;
    browser.sees("section[data-key=history]", &["Paused by request", "by portal", "Resumed by request"]).await;
    browser.press_button("main", "Stop").await;
    browser.sees("dialog", &["Clean up resources (slot, publication)"]).await;
    browser.click("#choice").await;
    browser.press_button("dialog", "Stop").await;
    browser.sees(REASON, &["Stopped"]).await;
    browser.sees("#reason", &["slot and publication dropped"]).await;
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_says_what_to_do_and_is_retried() {
    let (demo, browser) = visit(1.0).await;
    browser.click(&format!("{} a", line("crm"))).await;
    browser.sees(".failure", &["replication slot \"crm\" does not exist", "What to do", "Restart from scratch"]).await;
    browser.sees("[data-phase=STREAMING]", &["Failed"]).await;
    browser.click(".failure summary").await;
    let trace = browser.sees(".failure pre", &["START_REPLICATION"]).await;
    assert!(!trace.contains("hunter2"), "the trace shows a secret: {trace}");
    browser.picture("failed-job").await;
    browser.press_button("main", "Retry").await;
    browser.sees(REASON, &["Running"]).await;
    browser.gone(".failure").await;
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_completed_terminated_and_deleted_after_a_question() {
    let (demo, browser) = visit(0.4).await;
    browser.go("#/jobs/telemetry").await;
    browser.press_button("main", "Complete CDC").await;
    browser.sees("dialog", &["can’t be resumed", "CDC Completed"]).await;
    browser.press_button("dialog", "Complete CDC").await;
    browser.sees(".notes", &["Under way", "telemetry-sink"]).await;
    browser.sees(REASON, &["CDC Completed"]).await;
    for phase in ["INIT", "SNAPSHOT", "STREAMING"] {
        browser.sees(&format!("[data-phase={phase}]"), &["Completed"]).await;
    }
    browser.press_button("main", "Delete").await;
    browser.sees("dialog", &["telemetry-source, telemetry-sink", "Data at the destination stays"]).await;
    browser.press_button("dialog", "Delete").await;
    browser.sees(&line("shop"), &["Running"]).await;
    browser.gone(&line("telemetry")).await;
    browser.go("#/jobs/shop").await;
    browser.press_button("main", "Terminate").await;
    browser.sees("dialog", &["Snapshot cancelled"]).await;
    browser.press_button("dialog", "Terminate").await;
    browser.sees(REASON, &["Snapshot cancelled"]).await;
    browser.go("#/jobs/nobody").await;
    browser.sees("main", &["There is no such job"]).await;
    // Asking for a job that is not there is answered with 404, which the console calls an error.
    eventually_async("the console to mention the 404", LIMIT, async || {
        let errors = browser.console_errors().await;
        if errors.iter().any(|error| error.contains("404")) { Ok(()) } else { Err(format!("{errors:?}")) }
    })
    .await
    .unwrap();
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_hidden_wherever_they_are() {
    let (demo, browser) = visit(0.3).await;
    browser.go("#/jobs/shop").await;
    browser.click("details[data-config=shop-source] summary").await;
    browser.sees("details[data-config=shop-source]", &["database.password", "••••••••", "db.example.com"]).await;
    browser.click("details[data-config=shop-sink] summary").await;
    browser.sees("details[data-config=shop-sink]", &["connection.uri", "••••••••"]).await;
    browser
        .sees("section[data-key=options]", &["drop_destination_collections", "alerts.example.com", "••••••••"])
        .await;
    let page = browser.run("return document.documentElement.outerHTML").await;
    assert!(!page.as_str().unwrap().contains("hunter2"), "the page has a secret");
    // What was opened stays open while the figures move.
    let rows = browser.sees("tr[data-table='public.order_items']", &["Running"]).await;
    eventually_async("the rows to move", LIMIT, async || {
        let now = browser.text("tr[data-table='public.order_items']").await.unwrap_or_default();
        if now == rows { Err(now) } else { Ok(()) }
    })
    .await
    .unwrap();
    browser.sees("details[data-config=shop-source][open]", &["db.example.com"]).await;
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_done_by_keyboard() {
    let (demo, browser) = visit(1.0).await;
    let enter = char::from(Key::Enter).to_string();
    let escape = char::from(Key::Escape).to_string();
    browser.sees(&line("orders"), &["Running"]).await;
    browser.tab_to("#skip").await;
    browser.keys(&enter).await;
    browser.tab_to(&format!("{} a", line("orders"))).await;
    browser.keys(&enter).await;
    browser.sees("h1", &["orders"]).await;
    assert_eq!(browser.run("return document.activeElement.tagName").await, json!("H1"), "a new page is announced");
    browser.tab_to("button[data-do=pause]").await;
    browser.keys(&enter).await;
    browser.sees("dialog", &["Pause orders?"]).await;
    // The focus stays within the dialog, however often it goes on.
    for _ in 0..6 {
        let inside = browser
            .run("return document.activeElement === document.body || !!document.activeElement.closest('dialog')")
            .await;
        assert_eq!(inside, json!(true), "the focus left the dialog");
        browser.keys(&char::from(Key::Tab).to_string()).await;
    }
    browser.tab_to("dialog button").await;
    browser.keys(&escape).await;
    browser.gone("dialog").await;
    let back = browser.run("return document.activeElement.dataset.do ?? null").await;
    assert_eq!(back, json!("pause"), "the focus comes back to where it was");
    browser.keys(&enter).await;
    browser.tab_to("dialog button.caution").await;
    browser.keys(&enter).await;
    browser.sees(REASON, &["Paused"]).await;
    browser.tab_to("button[data-do=resume]").await;
    browser.keys(&enter).await;
    browser.sees(REASON, &["Running"]).await;
    browser.keys("n").await;
    browser.sees("h1", &["New job"]).await;
    assert_eq!(browser.run("return document.activeElement.id").await, json!("name"));
    browser.keys("typed").await;
    browser.tab_to("#host").await;
    browser.keys("db.example.com").await;
    browser.sees("#slot-hint", &["Made when"]).await;
    assert_eq!(browser.run("return document.querySelector('#slot').placeholder").await, json!("typed"));
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_light_or_dark_and_fits_a_telephone() {
    let (demo, browser) = visit(1.0).await;
    browser.go("#/jobs/shop").await;
    browser.sees(REASON, &["Running"]).await;
    let light = |colour: &serde_json::Value| {
        let parts = colour.as_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit());
        parts.split(',').filter_map(|part| part.trim().parse::<u32>().ok()).take(3).sum::<u32>()
    };
    let colour = "return getComputedStyle(document.body).backgroundColor";
    browser.prefer("light").await;
    assert!(light(&browser.run(colour).await) > 600);
    browser.prefer("dark").await;
    assert!(light(&browser.run(colour).await) < 150);
    browser.sees("section[data-key=tables]", &["public.order_items", "%"]).await;
    browser.picture("job-dark").await;
    for page in ["#/", "#/jobs/orders", "#/jobs/crm", "#/new"] {
        browser.go(page).await;
        browser.find("h1").await;
        for width in [1280, 760, 380] {
            browser.resize(width, 900).await;
            let over = browser.run("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(over.as_i64().unwrap() <= 0, "{page} is {over} pixels wider than {width}");
        }
    }
    leave(demo, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_away_is_missed_and_found_again() {
    let listener = format!("http://127.0.0.1:{}", ports::free().unwrap());
    let demo = Demo::start(&listener, 1.0).await.unwrap();
    let browser = Browser::open(&demo.url).await;
    browser.sees("#link-text", &["Live"]).await;
    demo.stop().await;
    browser.sees("#link-text", &["Disconnected"]).await;
    browser.sees("#lost", &["lost"]).await;
    browser.go("#/jobs/crm").await;
    browser.press_button("main", "Retry").await;
    browser.sees("#toasts [data-kind=error]", &["can't be reached"]).await;
    let demo = Demo::start(&listener, 1.0).await.unwrap();
    browser.sees("#link-text", &["Live"]).await;
    browser.sees(REASON, &["Failed"]).await;
    assert_eq!(browser.run("return document.querySelector('#lost').hidden").await, json!(true));
    browser.close_after_trouble().await;
    demo.stop().await;
}
