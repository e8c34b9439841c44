//! `wasi:random`, with the bytes drawn in one call counted. All of it comes from the thread's generator, which
//! the operating system seeds: the insecure interfaces are no weaker than the secure one.

use rand::Rng;
use wasmtime::component::HasData;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::stop::Stop;

/// The type parameter of `add_to_linker`.
pub(crate) struct Random;

impl HasData for Random {
    type Data<'a> = &'a mut RandomBudget;
}

/// Bytes a call may still draw.
#[derive(Debug)]
pub(crate) struct RandomBudget {
    left: u64,
    limit: bytesize::ByteSize,
}

impl RandomBudget {
    pub(crate) fn new(limit: bytesize::ByteSize) -> Self {
        Self {
            left: limit.as_u64(),
            limit,
        }
    }

    fn take(&mut self, bytes: u64) -> wasmtime::Result<()> {
        let Some(left) = self.left.checked_sub(bytes) else {
            return Err(wasmtime::Error::new(Stop::budget("random_bytes", self.limit)));
        };
        self.left = left;
        Ok(())
    }

    fn bytes(&mut self, count: u64) -> wasmtime::Result<Vec<u8>> {
        self.take(count)?;
        let mut bytes = vec![0; usize::try_from(count)?];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> wasmtime::Result<u64> {
        self.take(8)?;
        Ok(rand::rng().next_u64())
    }
}

impl random::Host for RandomBudget {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number()
    }
}

impl insecure::Host for RandomBudget {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number()
    }
}

impl insecure_seed::Host for RandomBudget {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.number()?, self.number()?))
    }
}
