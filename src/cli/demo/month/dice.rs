//! Numbers that look random, and are the same every time.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::RequestId;

/// splitmix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.throw().checked_rem(end).unwrap_or_default()
    }

    /// Whether something comes about that does so many times out of a thousand.
    pub(super) fn comes(&mut self, of_thousand: u64) -> bool {
        self.below(1_000) < of_thousand
    }

    /// One of these.
    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let at = usize::try_from(self.below(all.len() as u64)).ok()?;
        all.get(at).copied()
    }

    /// The id of a request at this time.
    pub(super) fn request_id(&mut self, at: Timestamp) -> RequestId {
        let mut random = [0; 10];
        let numbers = [self.throw(), self.throw()];
        let bytes = numbers.into_iter().flat_map(u64::to_le_bytes);
        random.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        RequestId::of(u64::try_from(at.as_millisecond()).unwrap_or_default(), &random)
    }

    /// An id that nobody has.
    pub(super) fn uuid(&mut self) -> Uuid {
        let halves = (self.throw(), self.throw());
        let number = (u128::from(halves.0) << 64) | u128::from(halves.1);
        uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
    }
}
