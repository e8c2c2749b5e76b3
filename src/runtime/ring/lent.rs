//! The window of the pool's bufs that the kernel may write to: a provided-buffer ring.
#![expect(unsafe_code, reason = "the ring of descriptors is memory shared with the kernel")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::runtime::buf::{BUF_SIZE, Buf, BufMut, Pool};

/// The number of the only group of provided buffers.
pub(super) const GROUP: u16 = 0;
/// The kernel wants the ring at the start of a page.
const PAGE: usize = 4096;

/// The window. The kernel takes bufs from it in the order in which they were lent, so a buf's id is its place in the
/// ring, and a recv that filled several got neighbours.
///
/// It must not be dropped before the ring that it is registered with is done with all its operations.
pub(super) struct Lent {
    entries: NonNull<BufRingEntry>,
    /// The owner of the memory behind each entry, while it is lent.
    bufs: Box<[Option<BufMut>]>,
    pool: Pool,
    /// Entries ever lent, as the kernel counts them.
    tail: u16,
    /// How many are lent.
    count: usize,
}

impl Lent {
    /// A window of `size` bufs (a power of two, at most 32,768), registered with the ring.
    ///
    /// # Errors
    /// What the kernel says to the registration.
    pub(super) fn new(ring: &IoUring, pool: &Pool, size: u16) -> io::Result<Self> {
        let entries = allocate(size);
        let bufs = (0..size).map(|_| None).collect();
        let mut lent = Self { entries, bufs, pool: pool.clone(), tail: 0, count: 0 };
        let address = entries.as_ptr() as u64;
        // SAFETY: the memory has room for `size` entries and outlives the registration, which ends with `ring`.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, size, GROUP, 0)? };
        lent.refill();
        Ok(lent)
    }

    /// How many bufs the kernel has.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many the kernel has when the pool is not short of any.
    pub(super) fn size(&self) -> usize {
        self.bufs.len()
    }

    /// Whether more than half of the bufs that the pool lends are in use.
    pub(super) fn is_short(&self) -> bool {
        self.pool.out() > self.pool.limit() / 2
    }

    /// Lends what the pool has, up to the size of the window.
    pub(super) fn refill(&mut self) {
        let before = self.tail;
        while self.count < self.bufs.len() && self.lend_next() {}
        if self.tail != before {
            self.publish();
        }
    }

    /// Takes over the bufs that a recv has filled: `len` bytes, from the buf with the id `first` on.
    pub(super) fn adopt(&mut self, first: u16, len: usize, mut each: impl FnMut(Buf)) {
        let (mut id, mut left) = (usize::from(first), len);
        loop {
            let piece = left.min(BUF_SIZE);
            if let Some(buf) = self.bufs[id].take() {
                self.count -= 1;
                each(self.pool.adopt(buf, piece));
            }
            left -= piece;
            if left == 0 {
                return;
            }
            id = (id + 1) % self.bufs.len();
        }
    }

    fn lend_next(&mut self) -> bool {
        let place = usize::from(self.tail) % self.bufs.len();
        // A completion that has not been seen yet may still hold the place.
        if self.bufs[place].is_some() {
            return false;
        }
        let Some(mut buf) = self.pool.lend() else { return false };
        let address = buf.unwritten().as_mut_ptr() as u64;
        // SAFETY: `place` is within the entries, and the kernel reads none beyond the published tail.
        let entry = unsafe { self.entries.add(place).as_mut() };
        entry.set_addr(address);
        entry.set_len(BUF_SIZE as u32);
        entry.set_bid(place as u16);
        self.bufs[place] = Some(buf);
        self.tail = self.tail.wrapping_add(1);
        self.count += 1;
        true
    }

    fn publish(&self) {
        // SAFETY: the address is that of the first entry, whose reserved half is the tail; it is aligned, lives as
        // long as `self`, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for buf in self.bufs.iter_mut().filter_map(Option::take) {
            self.pool.take_back(buf);
        }
        // SAFETY: the memory came from `allocate` with the same layout.
        unsafe { dealloc(self.entries.as_ptr().cast(), layout(self.bufs.len())) };
    }
}

fn allocate(size: u16) -> NonNull<BufRingEntry> {
    let layout = layout(usize::from(size));
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

fn layout(size: usize) -> Layout {
    Layout::array::<BufRingEntry>(size.max(1))
        .and_then(|layout| layout.align_to(PAGE))
        .expect("the window has at most 32,768 entries")
}
