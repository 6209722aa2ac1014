//! What a server says about itself when it is met, and whether it is what was expected there.

use crate::error::{Error, ErrorKind, Result};

/// The sections `server` and `replication` of `INFO`, as far as we use them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    fields: Vec<(String, String)>,
}

/// What a server must be to be used for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Not a replica.
    Primary,
    /// A replica that follows its primary.
    Replica,
    /// Whatever it is: it is only asked about others.
    Any,
}

const KEPT: [&str; 8] = [
    "run_id",
    "redis_version",
    "valkey_version",
    "redis_mode",
    "role",
    "master_link_status",
    "master_repl_offset",
    "slave_repl_offset",
];

impl Greeting {
    /// Reads the lines `name:value`; unknown ones are left out.
    pub(crate) fn parse(info: &str) -> Self {
        let fields = info.lines().filter_map(|line| line.trim_end().split_once(':'));
        let kept = fields.filter(|(name, _)| KEPT.contains(name) || is_replica_line(name));
        Self { fields: kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Changes with every start of the process.
    pub(crate) fn run_id(&self) -> Option<&str> {
        self.field("run_id")
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.field("role") == Some("slave")
    }

    /// A replica whose link to its primary is up: what it serves is old by the replication lag at most.
    pub(crate) fn follows_its_primary(&self) -> bool {
        self.is_replica() && self.field("master_link_status") == Some("up")
    }

    /// How many bytes of the replication stream the server has.
    pub(crate) fn replication_offset(&self) -> Option<u64> {
        let name = if self.is_replica() { "slave_repl_offset" } else { "master_repl_offset" };
        self.field(name)?.parse().ok()
    }

    /// The replicas that a primary knows, as `(host, port)`.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = (&str, u16)> {
        self.fields.iter().filter(|(name, _)| is_replica_line(name)).filter_map(|(_, value)| {
            let part = |name: &str| value.split(',').find_map(|part| part.strip_prefix(name));
            if part("state=") != Some("online") {
                return None;
            }
            Some((part("ip=")?, part("port=")?.parse().ok()?))
        })
    }
}

/// `slave0`, `slave1` and so on.
fn is_replica_line(name: &str) -> bool {
    name.strip_prefix("slave")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

impl Role {
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the server plays another part, at present.
    pub(super) fn check(self, greeting: &Greeting, address: &str) -> Result<()> {
        let (fits, fault) = match self {
            Self::Any => return Ok(()),
            Self::Primary => (!greeting.is_replica(), "it is a replica, and a primary is needed here"),
            Self::Replica => (greeting.follows_its_primary(), "it does not follow a primary"),
        };
        if fits {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "connect").with("server", address).with("fault", fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\n\
        connected_slaves:2\r\nslave0:ip=127.0.0.1,port=7001,state=online,offset=28,lag=0\r\n\
        slave1:ip=127.0.0.1,port=7002,state=wait_bgsave,offset=0,lag=0\r\nmaster_repl_offset:28\r\n";

    #[test]
    fn a_primary_names_the_replicas_that_are_online() {
        let greeting = Greeting::parse(PRIMARY);
        assert_eq!(greeting.run_id(), Some("abc"));
        assert_eq!(greeting.replicas().collect::<Vec<_>>(), [("127.0.0.1", 7001)]);
        assert_eq!(greeting.replication_offset(), Some(28));
        assert!(Role::Primary.check(&greeting, "a").is_ok());
        assert!(Role::Replica.check(&greeting, "a").is_err());
    }

    #[test]
    fn a_replica_serves_while_its_link_is_up() {
        let up = Greeting::parse(
            "role:slave\r\nmaster_link_status:up\r\nslave_repl_offset:7\r\nmaster_repl_offset:9\r\n",
        );
        let down = Greeting::parse("role:slave\r\nmaster_link_status:down\r\n");
        assert_eq!(up.replication_offset(), Some(7));
        assert!(Role::Replica.check(&up, "a").is_ok());
        assert!(Role::Replica.check(&down, "a").is_err());
        assert!(Role::Primary.check(&down, "a").is_err());
    }

    #[test]
    fn a_proxy_that_tells_nothing_counts_as_a_primary() {
        assert!(Role::Primary.check(&Greeting::parse(""), "a").is_ok());
    }
}
