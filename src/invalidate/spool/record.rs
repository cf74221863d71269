//! The spool's records as bytes. Numbers are big-endian, so that they sort by value.

use crate::invalidate::change::NewValue;

/// A delivery, as named in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DeliveryId {
    /// The number of the upstream.
    pub(crate) upstream: u32,
    /// The number of the delivery, from 0.
    pub(crate) number: u16,
}

impl DeliveryId {
    pub(super) fn table(self) -> String {
        format!("pending.{}.{}", self.upstream, self.number)
    }
}

/// The pending change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingRecord {
    /// Unique, and greater than that of every earlier change. It is also the time of the change: microseconds of Unix
    /// time, increased if the clock stood still or went back.
    pub(crate) sequence: u64,
    /// The new value, if the target gets values.
    pub(crate) value: Option<NewValue>,
}

/// A key, and its pending change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingChange {
    /// Its name at the upstream.
    pub(crate) key: Box<[u8]>,
    pub(crate) record: PendingRecord,
}

impl PendingRecord {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.sequence.to_be_bytes());
        if let Some(value) = &self.value {
            out.extend_from_slice(&value.flags.to_be_bytes());
            out.extend_from_slice(&value.expires.to_be_bytes());
            out.extend_from_slice(&value.bytes);
        }
    }

    /// The record, or `None` when it is not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<PendingRecord> {
        let sequence = sequence(bytes)?;
        let value = match &bytes[8..] {
            [] => None,
            rest => Some(NewValue {
                flags: u32::from_be_bytes(rest.first_chunk().copied()?),
                expires: i64::from_be_bytes(rest.get(4..)?.first_chunk().copied()?),
                bytes: rest.get(12..)?.into(),
            }),
        };
        Some(PendingRecord { sequence, value })
    }
}

/// The sequence of an encoded record.
pub(super) fn sequence(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|first| u64::from_be_bytes(*first))
}

/// The spool's row of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UpstreamRow {
    /// Its tables have this number.
    pub(crate) id: u32,
    /// The number of deliveries that its pending set is divided among.
    pub(crate) deliveries: u16,
    /// It has to be flushed first.
    pub(crate) flush: bool,
    /// It is no longer among the targets, so it misses changes.
    pub(crate) left: bool,
    /// The time since which changes have been pending for it, in microseconds of Unix time; 0 if it is up
    /// to date.
    pub(crate) since: u64,
}

impl UpstreamRow {
    /// Its deliveries.
    pub(crate) fn delivery_ids(&self) -> impl Iterator<Item = DeliveryId> + use<> {
        let upstream = self.id;
        (0..self.deliveries).map(move |number| DeliveryId { upstream, number })
    }

    pub(crate) fn encode(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..4].copy_from_slice(&self.id.to_be_bytes());
        out[4..6].copy_from_slice(&self.deliveries.to_be_bytes());
        out[6] = u8::from(self.flush);
        out[7] = u8::from(self.left);
        out[8..].copy_from_slice(&self.since.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<UpstreamRow> {
        let bytes: &[u8; 16] = bytes.try_into().ok()?;
        Some(UpstreamRow {
            id: u32::from_be_bytes(*bytes.first_chunk()?),
            deliveries: u16::from_be_bytes([bytes[4], bytes[5]]),
            flush: bytes[6] != 0,
            left: bytes[7] != 0,
            since: u64::from_be_bytes(*bytes.last_chunk()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_rows_are_read_back_and_others_are_refused() {
        let value = NewValue {
            flags: 7,
            expires: -1,
            bytes: b"v"[..].into(),
        };
        for value in [None, Some(value)] {
            let record = PendingRecord { sequence: 9, value };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(PendingRecord::decode(&bytes), Some(record));
        }
        for bytes in [
            &b""[..],
            b"1234567",
            b"123456789",
            b"12345678901234567890"[..19].as_ref(),
        ] {
            assert_eq!(PendingRecord::decode(bytes), None, "{bytes:?}");
        }
        let row = UpstreamRow {
            id: 3,
            deliveries: 2,
            flush: true,
            left: false,
            since: 77,
        };
        assert_eq!(UpstreamRow::decode(&row.encode()), Some(row));
        assert_eq!(UpstreamRow::decode(b"short"), None);
    }
}
