//! What is known of the commands that users send: where their keys are, whether they only read, whether they block.

use std::time::Duration;

use redis::{Arg, Cmd};
use smallvec::SmallVec;

/// Where a command goes in a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placement<'a> {
    /// To the owner of this key's slot.
    Key(&'a [u8]),
    /// To any primary.
    Anywhere,
    /// To every primary; the answers are put together.
    Everywhere(Together),
    /// Its keys may lie in several slots: it is split, `step` arguments to a key, from the first argument on.
    Split { step: usize, together: Together },
    /// Nowhere: its answer means something to the server that gave it alone, and the next call may reach another one.
    OneServerOnly,
}

/// How the answers of several servers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Together {
    /// All must succeed; the first answer stands for all.
    First,
    /// The same where those that do not answer do not matter.
    FirstThatAnswers,
    Sum,
    /// Arrays one behind the other.
    Concatenate,
    /// An answer for each key, in the order of the keys.
    ByKey,
}

pub(super) fn placement(cmd: &Cmd) -> Placement<'_> {
    let name = name(cmd);
    let key = |index: usize| arg(cmd, index).map_or(Placement::Anywhere, Placement::Key);
    match &name[..] {
        b"MGET" => Placement::Split { step: 1, together: Together::ByKey },
        b"DEL" | b"UNLINK" | b"EXISTS" | b"TOUCH" => Placement::Split { step: 1, together: Together::Sum },
        b"MSET" => Placement::Split { step: 2, together: Together::First },
        b"DBSIZE" => Placement::Everywhere(Together::Sum),
        b"KEYS" => Placement::Everywhere(Together::Concatenate),
        // It is called next on one of them: where that one does not answer, the call says so.
        b"SCRIPT" if is_word(cmd, 1, b"LOAD") => Placement::Everywhere(Together::FirstThatAnswers),
        b"FLUSHALL" | b"FLUSHDB" | b"SCRIPT" | b"FUNCTION" => Placement::Everywhere(Together::First),
        b"PING" | b"ECHO" | b"INFO" | b"TIME" | b"CONFIG" | b"CLIENT" | b"COMMAND" | b"ACL" | b"LATENCY"
        | b"RANDOMKEY" | b"PUBLISH" | b"PUBSUB" | b"CLUSTER" | b"ROLE" | b"WAIT" | b"LASTSAVE"
        | b"SLOWLOG" | b"MODULE" => Placement::Anywhere,
        b"SCAN" => Placement::OneServerOnly,
        b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => match number(cmd, 2) {
            Some(0) | None => Placement::Anywhere,
            Some(_) => key(3),
        },
        // Behind the subcommand, the operation, or the number of keys.
        b"OBJECT" | b"XINFO" | b"XGROUP" | b"MEMORY" | b"BITOP" | b"ZUNION" | b"ZINTER" | b"ZDIFF"
        | b"SINTERCARD" | b"ZINTERCARD" | b"LMPOP" | b"ZMPOP" => key(2),
        b"BLMPOP" | b"BZMPOP" => key(3),
        b"XREAD" | b"XREADGROUP" => {
            place_of(cmd, b"STREAMS").map_or(Placement::Anywhere, |index| key(index + 1))
        }
        _ => key(1),
    }
}

/// What a command does to its connection, and whether it may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// It changes nothing, so that it may be repeated, and may go to a replica.
    Reads,
    Writes,
    /// It may keep its connection waiting, which it must not share with others.
    Blocks,
    /// It changes what later commands of its connection mean, which others share.
    ChangesItsConnection,
}

pub(super) fn nature(cmd: &Cmd) -> Nature {
    let second = || arg(cmd, 1).map(<[u8]>::to_ascii_uppercase).unwrap_or_default();
    match arg(cmd, 0).unwrap_or_default() {
        // The most frequent ones, as the client writes them, found without a copy and a search.
        b"GET" | b"MGET" | b"HGET" | b"EXISTS" => return Nature::Reads,
        b"SET" | b"DEL" | b"EVALSHA" => return Nature::Writes,
        _ => {}
    }
    match &name(cmd)[..] {
        b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BLMPOP" | b"BZPOPMIN" | b"BZPOPMAX"
        | b"BZMPOP" => Nature::Blocks,
        b"XREAD" | b"XREADGROUP" if place_of(cmd, b"BLOCK").is_some() => Nature::Blocks,
        b"SELECT" | b"MULTI" | b"EXEC" | b"DISCARD" | b"WATCH" | b"UNWATCH" | b"SUBSCRIBE"
        | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE" | b"MONITOR"
        | b"HELLO" | b"AUTH" | b"RESET" | b"QUIT" | b"ASKING" | b"READONLY" | b"READWRITE" | b"WAIT"
        | b"WAITAOF" => Nature::ChangesItsConnection,
        b"CLIENT" if matches!(&second()[..], b"TRACKING" | b"CACHING" | b"REPLY") => {
            Nature::ChangesItsConnection
        }
        other if READ_ONLY.binary_search_by(|known| known.as_bytes().cmp(other)).is_ok() => Nature::Reads,
        _ => Nature::Writes,
    }
}

/// How long a command that blocks asks the server to wait at most; `None` for as long as it takes.
pub(super) fn longest_wait(cmd: &Cmd) -> Option<Duration> {
    let seconds = |index: usize| std::str::from_utf8(arg(cmd, index)?).ok()?.parse::<f64>().ok();
    let wait = match &name(cmd)[..] {
        b"BLMPOP" | b"BZMPOP" => Duration::try_from_secs_f64(seconds(1)?).ok()?,
        b"XREAD" | b"XREADGROUP" => {
            let block = place_of(cmd, b"BLOCK")?;
            Duration::from_millis(u64::try_from(number(cmd, block + 1)?).ok()?)
        }
        _ => Duration::try_from_secs_f64(seconds(cmd.args_iter().len().checked_sub(1)?)?).ok()?,
    };
    (wait > Duration::ZERO).then_some(wait)
}

fn is_word(cmd: &Cmd, index: usize, word: &[u8]) -> bool {
    arg(cmd, index).is_some_and(|arg| arg.eq_ignore_ascii_case(word))
}

/// Where among the arguments the word stands first.
fn place_of(cmd: &Cmd, word: &[u8]) -> Option<usize> {
    (1..cmd.args_iter().len()).find(|&index| is_word(cmd, index, word))
}

/// The command's name in capitals.
fn name(cmd: &Cmd) -> SmallVec<[u8; 24]> {
    let mut name = SmallVec::from_slice(arg(cmd, 0).unwrap_or_default());
    name.make_ascii_uppercase();
    name
}

pub(super) fn arg(cmd: &Cmd, index: usize) -> Option<&[u8]> {
    match cmd.args_iter().nth(index)? {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    }
}

fn number(cmd: &Cmd, index: usize) -> Option<usize> {
    std::str::from_utf8(arg(cmd, index)?).ok()?.parse().ok()
}

/// In alphabetical order.
const READ_ONLY: &[&str] = &[
    "BITCOUNT",
    "BITFIELD_RO",
    "BITPOS",
    "DBSIZE",
    "DUMP",
    "ECHO",
    "EVALSHA_RO",
    "EVAL_RO",
    "EXISTS",
    "EXPIRETIME",
    "FCALL_RO",
    "GEODIST",
    "GEOHASH",
    "GEOPOS",
    "GEORADIUSBYMEMBER_RO",
    "GEORADIUS_RO",
    "GEOSEARCH",
    "GET",
    "GETBIT",
    "GETRANGE",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HRANDFIELD",
    "HSCAN",
    "HSTRLEN",
    "HVALS",
    "INFO",
    "JSON.GET",
    "JSON.MGET",
    "JSON.TYPE",
    "KEYS",
    "LCS",
    "LINDEX",
    "LLEN",
    "LPOS",
    "LRANGE",
    "MGET",
    "OBJECT",
    "PEXPIRETIME",
    "PFCOUNT",
    "PING",
    "PTTL",
    "RANDOMKEY",
    "ROLE",
    "SCAN",
    "SCARD",
    "SDIFF",
    "SINTER",
    "SINTERCARD",
    "SISMEMBER",
    "SMEMBERS",
    "SMISMEMBER",
    "SORT_RO",
    "SRANDMEMBER",
    "SSCAN",
    "STRLEN",
    "SUBSTR",
    "SUNION",
    "TIME",
    "TTL",
    "TYPE",
    "XINFO",
    "XLEN",
    "XPENDING",
    "XRANGE",
    "XREAD",
    "XREVRANGE",
    "ZCARD",
    "ZCOUNT",
    "ZDIFF",
    "ZINTER",
    "ZINTERCARD",
    "ZLEXCOUNT",
    "ZMSCORE",
    "ZRANDMEMBER",
    "ZRANGE",
    "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
    "ZRANK",
    "ZREVRANGE",
    "ZREVRANGEBYLEX",
    "ZREVRANGEBYSCORE",
    "ZREVRANK",
    "ZSCAN",
    "ZSCORE",
    "ZUNION",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn cmd(words: &str) -> Cmd {
        let mut words = words.split(' ');
        let mut cmd = redis::cmd(words.next().expect("a name"));
        for word in words {
            cmd.arg(word);
        }
        cmd
    }

    #[test]
    fn keys_are_found_where_each_command_has_them() {
        for (words, key) in [
            ("GET k", "k"),
            ("EVALSHA abc 1 k a", "k"),
            ("OBJECT ENCODING k", "k"),
            ("XREAD COUNT 2 streams k 0", "k"),
            ("ZUNION 2 k l", "k"),
            ("BZMPOP 0 1 k MIN", "k"),
            ("hset k f v", "k"),
        ] {
            assert_eq!(placement(&cmd(words)), Placement::Key(key.as_bytes()), "{words}");
        }
        assert_eq!(placement(&cmd("EVAL return 0")), Placement::Anywhere);
        assert_eq!(placement(&cmd("PING")), Placement::Anywhere);
        assert_eq!(placement(&cmd("DBSIZE")), Placement::Everywhere(Together::Sum));
        assert_eq!(placement(&cmd("SCRIPT load x")), Placement::Everywhere(Together::FirstThatAnswers));
        assert_eq!(placement(&cmd("SCRIPT FLUSH")), Placement::Everywhere(Together::First));
    }

    #[test]
    fn commands_that_block_say_how_long() {
        for (words, wait) in [
            ("BLPOP k l 1.5", Some(1_500)),
            ("BLPOP k 0", None),
            ("BLMOVE k l LEFT RIGHT 2", Some(2_000)),
            ("BLMPOP 0.25 1 k LEFT", Some(250)),
            ("BZMPOP 0 1 k MIN", None),
            ("XREAD COUNT 1 block 300 STREAMS k 0", Some(300)),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS k >", None),
            ("BLPOP k nonsense", None),
        ] {
            assert_eq!(longest_wait(&cmd(words)), wait.map(Duration::from_millis), "{words}");
        }
    }

    #[test]
    fn the_list_of_reading_commands_is_in_order() {
        assert!(READ_ONLY.is_sorted(), "binary search needs it");
    }

    #[test]
    fn natures_are_told_apart() {
        for (words, expected) in [
            ("get k", Nature::Reads),
            ("SET k v", Nature::Writes),
            ("BLPOP k 0", Nature::Blocks),
            ("XREAD BLOCK 0 STREAMS k 0", Nature::Blocks),
            ("XREAD STREAMS k 0", Nature::Reads),
            ("SELECT 1", Nature::ChangesItsConnection),
            ("CLIENT tracking ON", Nature::ChangesItsConnection),
            ("CLIENT LIST", Nature::Writes),
        ] {
            assert_eq!(nature(&cmd(words)), expected, "{words}");
        }
    }
}
