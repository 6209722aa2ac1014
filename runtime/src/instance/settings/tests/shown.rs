//! What `Debug` shows, and what it never does.

use super::super::Settings;
use super::SECRET;
use crate::instance::Builder;

#[test]
fn urls_are_shown_without_the_login() {
    for (url, shown) in [
        ("redis://cache:1/2", "redis://cache:1/2"),
        ("redis://shop:s3cret@cache:1/2", "redis://[hidden]@cache:1/2"),
        ("redis://:s3cret@cache", "redis://[hidden]@cache"),
        ("redis://s3cret@cache", "redis://[hidden]@cache"),
        ("redis://:s3,s3cret@cache", "redis://[hidden]@cache"),
        ("redis://:12,34@cache", "redis://[hidden]@cache"),
        ("redis://u:12,34@cache", "redis://[hidden]@cache"),
        ("redis://a:1,redis://:s3cret@b:2", "redis://a:1,redis://[hidden]@b:2"),
        ("unix:///run/redis.sock?pass=s3cret", "unix:///run/redis.sock?[hidden]"),
        ("redis://cache/#s3cret", "redis://cache/#[hidden]"),
        ("cache:1", "cache:1"),
        ("s3cret", "[hidden]"),
        (":s3cret@cache:1", "[hidden]"),
        ("redis://:pa/s3cret@cache", "[hidden]"),
        ("redis://:pa#s3cret@cache", "[hidden]"),
        ("redis://s3cret/x@cache", "[hidden]"),
    ] {
        let settings = Settings { url: Some(url.to_owned()), ..Settings::default() };
        let text = format!("{settings:?}");
        assert!(text.contains(&format!("url: Some({shown:?})")), "{url}: {text}");
    }
}

#[test]
fn no_field_shows_its_secret() {
    let url = || format!("redis://shop:{SECRET}@cache");
    let builder = Builder::default()
        .redis_url(url())
        .host(url())
        .password(SECRET)
        .cluster([url()])
        .read_replicas([url()])
        .sentinel([url()], "main")
        .lock_urls([url()])
        .upstash(format!("https://x:{SECRET}@x.io"), SECRET);
    let text = format!("{builder:?} {builder:#?}");
    assert!(!text.contains(SECRET), "{text}");
    assert!(text.contains("cache"), "{text}");
}

#[test]
fn what_is_resolved_shows_no_secret() {
    let resolved = Builder::default()
        .redis_url(format!("redis://shop:{SECRET}@cache"))
        .lock_urls([format!("redis://shop:{SECRET}@lock")])
        .resolve()
        .expect("good settings");
    assert!(!format!("{resolved:?}").contains(SECRET));
}
