// Neither what a module is called, nor a missing prelude, nor names of parameters reach into generated code.

#![no_implicit_prelude]
#![deny(warnings)]
#![forbid(unsafe_code)]

mod std {}
mod core {}

mod shop {
    use ::keylatch::{LockError, cache_invalidate, cached, with_lock};
    use ::std::clone::Clone;
    use ::std::primitive::{str, u64};
    use ::std::result::Result::{self, Ok};
    use ::std::string::String;

    mod keylatch {}
    mod std {}

    // What the attributes write must not meet these either.
    #[expect(dead_code)]
    struct Option;
    #[expect(dead_code)]
    struct Duration;
    #[expect(dead_code)]
    struct Plan;
    #[expect(dead_code)]
    struct MessagePack;
    #[expect(unused_macros)]
    macro_rules! concat {
        () => {};
    }
    #[expect(unused_macros)]
    macro_rules! module_path {
        () => {};
    }

    #[cached(key = "{plan}:{key}:{value}:{output}:{call}:{FUNCTION}", ttl = "1h", cache_if = result.len() > 1, tags = ["{key}"])]
    #[expect(non_snake_case)]
    pub async fn names_of_ours(
        plan: &str,
        key: u64,
        value: u64,
        output: u64,
        call: u64,
        FUNCTION: u64,
    ) -> String {
        ::std::format!("{plan}{key}{value}{output}{call}{FUNCTION}")
    }

    #[cached(ttl = "1h", codec = message_pack)]
    pub async fn result(result: u64, lock: u64) -> u64 {
        result + lock
    }

    #[cache_invalidate(names_of_ours(key, *value, 3, 4, 5, 6), self::result(*value, lock), tags = ["{key}"])]
    pub async fn invalidation(invalidation: &str, key: &str, value: &u64, lock: u64) -> Result<u64, String> {
        Ok(invalidation.len() as u64 + key.len() as u64 + value + lock)
    }

    #[with_lock(key = "{lock}:{key}:{home}", ttl = "30s", lease = lease)]
    pub async fn lock(lock: u64, key: &str, home: u64) -> Result<String, LockError> {
        lease.check()?;
        Ok(::std::format!("{lock}{key}{home}", key = Clone::clone(&key)))
    }
}

// By hand, for `#[tokio::main]` needs the prelude.
fn main() {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    ::std::assert_eq!(shop::names_of_ours("a", 1, 2, 3, 4, 5).await, "a12345");
    ::std::assert_eq!(shop::result(1, 2).await, 3);
    ::std::assert_eq!(shop::invalidation("a", "b", &1, 2).await, ::std::result::Result::Ok(5));
    ::std::assert_eq!(shop::lock(1, "k", 2).await.unwrap(), "1k2");
}
