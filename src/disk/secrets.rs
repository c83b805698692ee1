//! Looks for key material before anything is published.
//!
//! Names are looked at everywhere, content only outside database files: any stranger can put a PEM into a transaction, and must not be able
//! to stop the publishing. The rules are data, each with its reason. A false alarm costs one `--allow-secret PATH`; a miss costs keys.

use std::path::Path;

use super::{Error, scan::Scan};
use crate::{
    fs::{Fs, Open},
    types::RelPath,
};

/// A file that looks like key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: RelPath,
    /// What gave it away, for people.
    pub rule: &'static str,
}

/// What a secret scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretScan {
    /// Files that nobody allowed.
    pub refused: Vec<Finding>,
    /// Files that the operator allowed by their exact path.
    pub allowed: Vec<Finding>,
}

/// Names of directories below which everything is secret.
const SECRET_DIRS: [(&str, &str); 5] = [
    ("keystore", "a directory of keys"),
    ("keyrings", "a directory of keys"),
    ("wallets", "a directory of wallets"),
    (".ssh", "a directory of SSH keys"),
    (".gnupg", "a directory of GnuPG keys"),
];

/// Names of files that are secret wherever they lie.
const SECRET_NAMES: [(&str, &str); 23] = [
    ("secret_ed25519", "the network key of a Substrate node"),
    ("nodekey", "the network key of an Ethereum node"),
    ("node_key.json", "the network key of a CometBFT node"),
    ("node-key", "a node's network key"),
    ("discovery-secret", "the network key of a reth node"),
    ("jwt.hex", "the key of the engine API"),
    ("jwtsecret", "the key of the engine API"),
    ("jwt-secret", "the key of the engine API"),
    ("jwt.secret", "the key of the engine API"),
    ("priv_validator_key.json", "a validator's key"),
    ("priv_validator_state.json", "what a validator signed last: a copy makes it sign twice"),
    ("validator_keys.json", "a validator's keys"),
    ("wallet.dat", "a wallet"),
    ("wallet.json", "a wallet"),
    ("onion_private_key", "the key of a Tor service"),
    ("onion_v3_private_key", "the key of a Tor service"),
    ("i2p_private_key", "the key of an I2P destination"),
    (".cookie", "the password of a node's RPC"),
    ("node_config.json", "the network key of a Graphene node"),
    ("id_rsa", "an SSH key"),
    ("id_ed25519", "an SSH key"),
    ("id_ecdsa", "an SSH key"),
    (".env", "settings that often hold passwords"),
];

/// How the names of secret files end or begin.
const SECRET_ENDINGS: [(&str, &str); 4] = [
    (".pem", "a file of PEM, which often holds a key"),
    (".p12", "a file of certificates with their keys"),
    (".wallet", "a wallet"),
    (".kdbx", "a password database"),
];
const SECRET_BEGINNINGS: [(&str, &str); 3] = [
    ("UTC--", "an encrypted key of an Ethereum account"),
    ("keyring-", "a directory of keys"),
    (".env.", "settings that often hold passwords"),
];

/// Names of settings files of nodes whose settings hold keys.
const SECRET_SETTINGS: [(&str, &str); 2] =
    [("config.ini", "the settings of a Graphene node, which hold its keys"), ("bitcoin.conf", "settings that hold the RPC password")];

/// Database files, of which the content proves nothing: any stranger can write into a chain.
const ENGINE_ENDINGS: [&str; 19] = [
    ".sst",
    ".ldb",
    ".log",
    ".blob",
    ".mdb",
    ".mdbx",
    ".sqlite",
    ".sqlite-wal",
    ".rdat",
    ".cdat",
    ".ridx",
    ".cidx",
    ".meta",
    ".jar",
    ".seg",
    ".idx",
    ".kv",
    ".ef",
    ".v",
];
const ENGINE_BEGINNINGS: [&str; 8] = ["MANIFEST-", "OPTIONS-", "index_", "table_", "log", "static_file_", "blk", "rev"];
const ENGINE_NAMES: [&str; 8] = ["CURRENT", "IDENTITY", "LOCK", "LOG", "mdbx.dat", "data.mdb", "object_database", "merkle.journal"];

const HEAD_BYTES: usize = 4096;

/// Looks for key material by name everywhere, and by content in files that are not database files.
///
/// # Errors
/// When a file cannot be read, or goes away.
pub fn scan_secrets(fs: &dyn Fs, scan: &Scan, allowed: &[RelPath]) -> Result<SecretScan, Error> {
    let mut found = SecretScan::default();
    for file in &scan.files {
        let rule = match secret_name(&file.path) {
            None if !scan.selection.is_opaque(&file.path) => secret_content(fs, &scan.root, &file.path, file.stat.len)?,
            rule => rule,
        };
        let Some(rule) = rule else { continue };
        let list = if allowed.contains(&file.path) { &mut found.allowed } else { &mut found.refused };
        list.push(Finding { path: file.path.clone(), rule });
    }
    Ok(found)
}

impl SecretScan {
    /// The files that were allowed, or an error when there are others.
    ///
    /// # Errors
    /// [`Error::SourceSecrets`] with every file that nobody allowed.
    pub fn into_allowed(self) -> Result<Vec<RelPath>, Error> {
        if self.refused.is_empty() {
            Ok(self.allowed.into_iter().map(|finding| finding.path).collect())
        } else {
            Err(Error::SourceSecrets { findings: self.refused })
        }
    }
}

/// Whether a file of this path is known to hold key material or a node's identity; says what it is.
#[must_use]
pub fn secret_name(path: &RelPath) -> Option<&'static str> {
    let folder =
        |name: &str| rule_for(&SECRET_DIRS, |known| known == name).or_else(|| rule_for(&SECRET_BEGINNINGS, |b| name.starts_with(b)));
    let name = path.name();
    let lower = name.to_ascii_lowercase();
    path.components()
        .find_map(folder)
        .or_else(|| rule_for(&SECRET_NAMES, |known| known == lower))
        .or_else(|| rule_for(&SECRET_SETTINGS, |known| known == lower))
        .or_else(|| rule_for(&SECRET_ENDINGS, |ending| lower.ends_with(ending)))
}

fn rule_for(rules: &[(&'static str, &'static str)], fits: impl Fn(&str) -> bool) -> Option<&'static str> {
    rules.iter().find(|(known, _)| fits(known)).map(|(_, rule)| *rule)
}

/// Whether a file of that name is a database's, as far as names tell.
pub(super) fn is_engine_file(name: &str) -> bool {
    let numbered = |rest: &str| rest.bytes().any(|b| b.is_ascii_digit());
    ENGINE_NAMES.contains(&name)
        || ENGINE_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || ENGINE_BEGINNINGS.iter().any(|begin| name.strip_prefix(begin).is_some_and(numbered))
}

fn secret_content(fs: &dyn Fs, root: &Path, path: &RelPath, len: u64) -> Result<Option<&'static str>, Error> {
    let failed = |source| Error::io("read", root.join(path))(source);
    let file = super::layout::open_beneath(fs, root, path, Open::Read)?;
    let mut head = vec![0; HEAD_BYTES.min(usize::try_from(len).unwrap_or(HEAD_BYTES))];
    match file.read_exact_at(&mut head, 0) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(Error::SourceChanged { path: path.clone(), what: "became shorter" });
        }
        result => result.map_err(failed)?,
    }
    Ok(rule_of_content(&head, len <= HEAD_BYTES as u64))
}

/// What the first bytes of a file give away; `whole` when they are all of it.
fn rule_of_content(head: &[u8], whole: bool) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head);
    let has = |needle: &str| text.contains(needle);
    if has("-----BEGIN ") && has("PRIVATE KEY") {
        return Some("it begins like a private key in PEM");
    }
    if has("\"ciphertext\"") && (has("\"crypto\"") || has("\"Crypto\"")) {
        return Some("it begins like an encrypted key of an account");
    }
    if has("\"qsync-key/") {
        return Some("it begins like a signing key of qsync");
    }
    match text.trim() {
        token if whole && is_hex_key(token) => Some("it is one number in hex of the length of a key"),
        token if whole && is_wif(token) => Some("it is one key in WIF"),
        _ => None,
    }
}

fn is_hex_key(token: &str) -> bool {
    let digits = token.strip_prefix("0x").unwrap_or(token);
    matches!(digits.len(), 64 | 128) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Base58 of a private key with version and checksum: 51 or 52 letters, the first of which follows from the version.
fn is_wif(token: &str) -> bool {
    let base58 = |b: u8| b.is_ascii_alphanumeric() && !b"0OIl".contains(&b);
    matches!(token.len(), 51 | 52) && token.starts_with(['5', 'K', 'L', 'c', '9']) && token.bytes().all(base58)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::{scan::scan, testing::put},
        fs::MemoryFs,
    };

    fn findings(files: &[(&str, &[u8])], allowed: &[&str]) -> SecretScan {
        let fs = MemoryFs::new();
        for (path, bytes) in files {
            put(&fs, &format!("/d/{path}"), bytes);
        }
        let allowed: Vec<RelPath> = allowed.iter().map(|path| path.parse().unwrap()).collect();
        scan_secrets(&fs, &scan(&fs, Path::new("/d"), &crate::disk::select::Selection::everything()).unwrap(), &allowed).unwrap()
    }

    fn is_refused(path: &str, bytes: &[u8]) -> bool {
        !findings(&[(path, bytes)], &[]).refused.is_empty()
    }

    // PU-07
    #[test]
    fn finds_secrets_by_name_wherever_they_lie() {
        for path in [
            "chains/ksmcc3/keystore/6772616e",
            "geth/nodekey",
            "chains/ksmcc3/network/secret_ed25519",
            "jwt.hex",
            "data/priv_validator_state.json",
            "keyring-file/validator.info",
            "wallet.dat",
            "a/.env",
            "tls/server.pem",
            "keys/UTC--2026-01-01T00-00-00Z--00ff",
            "config.ini",
        ] {
            assert!(is_refused(path, b""), "{path}");
        }
    }

    // PU-07
    #[test]
    fn finds_secrets_by_content_in_files_of_any_name() {
        let (hex, long_hex) = ("0f".repeat(32), format!("0x{}\n", "0F".repeat(64)));
        let wif = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ\n";
        let pem = "\n-----BEGIN EC PRIVATE KEY-----\nMHcC";
        let keystore = r#"{"address":"00","crypto":{"cipher":"aes-128-ctr","ciphertext":"00"}}"#;
        let own = String::from_utf8(crate::trust::SecretKey::from_seed(&[7; 32]).to_file().to_vec()).unwrap();
        for text in [hex.as_str(), &long_hex, wif, pem, keystore, &own] {
            assert!(is_refused("notes", text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn is_not_alarmed_by_what_databases_hold() {
        let pem = b"-----BEGIN PRIVATE KEY-----";
        for path in
            ["db/000012.sst", "db/000012.log", "db/MANIFEST-000004", "table_00_12", "index_01_20", "db/CURRENT", "blocks/blk00001.dat"]
        {
            assert!(!is_refused(path, pem), "{path}");
        }
        for text in ["MANIFEST-000004\n", "", "hello", &"0f".repeat(31), &"0f".repeat(3000), "-----BEGIN CERTIFICATE-----"] {
            assert!(!is_refused("notes", text.as_bytes()), "{text}");
        }
        assert!(!is_refused("db/keystore.sst", b"") && !is_refused("a/pem", b""));
    }

    #[test]
    fn only_the_exact_path_is_allowed() {
        let found = findings(&[("a/nodekey", b"x"), ("b/nodekey", b"x")], &["a/nodekey"]);
        assert_eq!(found.allowed[0].path.as_str(), "a/nodekey");
        assert_eq!(found.refused[0].path.as_str(), "b/nodekey");
        assert!(matches!(found.into_allowed(), Err(Error::SourceSecrets { findings }) if findings.len() == 1));
    }
}
