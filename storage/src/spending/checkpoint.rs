//! Where ledger and audit agreed when they were compared last.
//!
//! ```text
//! lines of the audit, u64 LE | hash of the last one (32) | number of the last reservation, u64 LE
//! ```
//! Not here: comparing them (`shoal-server`), the audit (`shoal-audit`).

/// How far the audit has been compared with the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Lines of the audit then.
    pub lines: u64,
    /// The hash of the last of them.
    pub hash: [u8; 32],
    /// The number of the last reservation then.
    pub reservation: u64,
}

impl Checkpoint {
    pub(super) fn to_bytes(self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&self.lines.to_le_bytes());
        bytes[8..40].copy_from_slice(&self.hash);
        bytes[40..].copy_from_slice(&self.reservation.to_le_bytes());
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8; 48]) -> Checkpoint {
        let (mut lines, mut hash, mut reservation) = ([0; 8], [0; 32], [0; 8]);
        lines.copy_from_slice(&bytes[..8]);
        hash.copy_from_slice(&bytes[8..40]);
        reservation.copy_from_slice(&bytes[40..]);
        Checkpoint { lines: u64::from_le_bytes(lines), hash, reservation: u64::from_le_bytes(reservation) }
    }
}
