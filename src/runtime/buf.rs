//! The worker's pool of bufs: 4 KiB each, lent, split without copying, home again on drop.
#![expect(unsafe_code, reason = "a buf is a pointer into memory that its pool owns and shares out")]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;

use smallvec::SmallVec;

/// Bytes in one buf.
pub const BUF_SIZE: usize = 4096;
/// Bufs allocated at a time.
const SLAB: usize = 64;
/// A piece up to this long is copied behind what a batch already holds, which is cheaper than one more iovec.
const COALESCE: usize = 1024;

/// One worker's pool. A cheap handle; not for other threads.
///
/// Memory is taken from the allocator as it is needed, a slab of 64 bufs at a time, and kept: at most for as many bufs
/// as were ever out at once. The last one home is the first one out, so that a quiet worker runs in cache.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    /// Memory of the pool, never moved and never freed before the pool.
    slabs: RefCell<Vec<Slab>>,
    /// How many `Buf`s and `BufMut`s look at each slot.
    shares: RefCell<Vec<u32>>,
    free: RefCell<Vec<Slot>>,
    /// Bufs that may be out for reading.
    limit: usize,
    out: Cell<usize>,
    /// Of those, how many a runtime has lent to its kernel, empty.
    with_kernel: Cell<usize>,
}

/// The memory of a slab, reached only through pointers once it is made.
struct Slab(NonNull<[[u8; BUF_SIZE]]>);

/// A buf's number in its pool.
pub type Slot = u32;

/// Bytes lent by the pool: read-only and shared. Never leaves its thread.
pub struct Buf {
    pool: Pool,
    slot: Slot,
    len: u32,
    start: NonNull<u8>,
}

/// A buf that nobody else looks at yet, to be written and then frozen.
pub struct BufMut {
    pool: Pool,
    slot: Slot,
    len: u32,
    start: NonNull<u8>,
}

impl Pool {
    /// A pool that lends up to `limit` bufs for reading (writing may go beyond: what is written is bounded by the
    /// exchanges that run).
    pub fn new(limit: usize) -> Self {
        Self(Rc::new(Inner {
            slabs: RefCell::default(),
            shares: RefCell::default(),
            free: RefCell::default(),
            limit,
            out: Cell::new(0),
            with_kernel: Cell::new(0),
        }))
    }

    /// An empty buf to write into. Never fails.
    pub fn take(&self) -> BufMut {
        let slot = self.take_slot();
        BufMut { pool: self.clone(), slot, len: 0, start: self.memory(slot) }
    }

    /// An empty buf to read into; `None` when the limit is reached, and then one has to wait.
    pub fn take_for_recv(&self) -> Option<BufMut> {
        (self.0.out.get() < self.0.limit).then(|| self.take())
    }

    /// How many bufs are out: those that a runtime holds ready for its kernel do not count.
    pub fn out(&self) -> usize {
        self.0.out.get() - self.0.with_kernel.get()
    }

    /// The most bufs that may be out for reading.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bufs that may still be taken for reading.
    #[cfg(feature = "hosted")]
    pub(super) fn left(&self) -> usize {
        self.0.limit.saturating_sub(self.0.out.get())
    }

    /// An empty buf for a runtime to hand to its kernel; `None` when the limit is reached. It comes back through
    /// [`Pool::adopt`] or [`Pool::take_back`].
    #[cfg(feature = "ring")]
    pub(super) fn lend(&self) -> Option<BufMut> {
        let buf = self.take_for_recv()?;
        self.0.with_kernel.set(self.0.with_kernel.get() + 1);
        Some(buf)
    }

    /// A lent buf into which the kernel has written `len` bytes.
    ///
    /// # Panics
    /// When a buf cannot hold so many.
    #[cfg(feature = "ring")]
    pub(super) fn adopt(&self, mut buf: BufMut, len: usize) -> Buf {
        self.0.with_kernel.set(self.0.with_kernel.get() - 1);
        buf.wrote(len);
        buf.freeze()
    }

    /// A lent buf that the kernel did not need.
    #[cfg(feature = "ring")]
    pub(super) fn take_back(&self, buf: BufMut) {
        self.0.with_kernel.set(self.0.with_kernel.get() - 1);
        drop(buf);
    }

    fn take_slot(&self) -> Slot {
        let mut free = self.0.free.borrow_mut();
        if free.is_empty() {
            self.grow(&mut free);
        }
        let slot = free.pop().unwrap_or_default();
        self.0.shares.borrow_mut()[slot as usize] = 1;
        self.0.out.set(self.0.out.get() + 1);
        slot
    }

    fn grow(&self, free: &mut Vec<Slot>) {
        let (mut slabs, mut shares) = (self.0.slabs.borrow_mut(), self.0.shares.borrow_mut());
        let memory = vec![[0; BUF_SIZE]; SLAB].into_boxed_slice();
        // `Box::leak` gives a pointer that stays good until `Slab::drop` makes the box again.
        slabs.push(Slab(NonNull::from(Box::leak(memory))));
        let first = shares.len() as Slot;
        let count = shares.len() + SLAB;
        shares.resize(count, 0);
        free.reserve(count);
        free.extend((first..first + SLAB as Slot).rev());
    }

    fn memory(&self, slot: Slot) -> NonNull<u8> {
        let (slab, place) = (slot as usize / SLAB, slot as usize % SLAB);
        let start: NonNull<u8> = self.0.slabs.borrow()[slab].0.cast();
        // SAFETY: `place` is below SLAB, so the offset stays inside the slab's one allocation.
        unsafe { start.add(place * BUF_SIZE) }
    }

    fn share(&self, slot: Slot) {
        self.0.shares.borrow_mut()[slot as usize] += 1;
    }

    fn give_back(&self, slot: Slot) {
        let mut shares = self.0.shares.borrow_mut();
        let count = &mut shares[slot as usize];
        *count -= 1;
        if *count == 0 {
            self.0.out.set(self.0.out.get() - 1);
            self.0.free.borrow_mut().push(slot);
        }
    }
}

impl Buf {
    /// Keeps the first `at` bytes and returns the rest; `at` beyond the end returns nothing.
    pub fn split_off(&mut self, at: usize) -> Self {
        let at = at.min(self.len());
        self.pool.share(self.slot);
        // SAFETY: `at` is within the bytes of this buf.
        let start = unsafe { self.start.add(at) };
        let rest = Self { pool: self.pool.clone(), slot: self.slot, len: self.len - at as u32, start };
        self.len = at as u32;
        rest
    }

    /// Returns the first `at` bytes (all, if there are fewer) and keeps the rest.
    pub fn split_to(&mut self, at: usize) -> Self {
        let rest = self.split_off(at);
        std::mem::replace(self, rest)
    }

    /// Forgets the first `count` bytes (all, if there are fewer).
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.len());
        // SAFETY: `count` is within the bytes of this buf.
        self.start = unsafe { self.start.add(count) };
        self.len -= count as u32;
    }

    /// Keeps the first `len` bytes only.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(u32::try_from(len).unwrap_or(u32::MAX));
    }
}

impl BufMut {
    /// Bytes that can still be written.
    pub fn room(&self) -> usize {
        BUF_SIZE - self.len as usize
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies what there is room for, and says how much that was.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.unwritten()[..count].copy_from_slice(&bytes[..count]);
        self.len += count as u32;
        count
    }

    /// The part not written yet (its old bytes still in it); follow with [`BufMut::wrote`].
    pub fn unwritten(&mut self) -> &mut [u8] {
        // SAFETY: the slot's BUF_SIZE bytes were initialised when the slab was made, `len` is within them, and a
        // `BufMut` is the slot's only owner.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(self.len as usize).as_ptr(), self.room()) }
    }

    /// Counts `count` bytes of [`BufMut::unwritten`] as written.
    ///
    /// # Panics
    /// When there was no room for so many.
    pub fn wrote(&mut self, count: usize) {
        assert!(count <= self.room(), "more bytes were written than there is room for");
        self.len += count as u32;
    }

    /// Ends the writing.
    pub fn freeze(self) -> Buf {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so its handle of the pool, and with it its share of the slot, moves.
        let pool = unsafe { std::ptr::read(&this.pool) };
        Buf { pool, slot: this.slot, len: this.len, start: this.start }
    }
}

impl Deref for Buf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the bytes lie inside the slot, which this share keeps from being lent again, and nobody writes to
        // a slot while a `Buf` looks at it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        self.pool.give_back(self.slot);
    }
}

impl Drop for BufMut {
    fn drop(&mut self) {
        self.pool.give_back(self.slot);
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a leaked box, and every buf keeps the pool and with it the slab alive.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({} \"{}\")", self.slot, self.escape_ascii())
    }
}

impl fmt::Debug for BufMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufMut").field("slot", &self.slot).field("len", &self.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("out", &self.out()).field("limit", &self.0.limit).finish_non_exhaustive()
    }
}

/// What one `send` hands to the kernel: written bytes and lent bufs, in order.
#[derive(Debug)]
pub struct Batch {
    pool: Option<Pool>,
    bufs: SmallVec<[Buf; 2]>,
    tail: Option<BufMut>,
    len: usize,
}

impl Batch {
    /// An empty batch that takes bufs to write into from `pool`.
    pub fn new(pool: &Pool) -> Self {
        Self { pool: Some(pool.clone()), bufs: SmallVec::new(), tail: None, len: 0 }
    }

    /// What the batch holds, and leaves it empty.
    pub fn take(&mut self) -> Self {
        let empty = Self { pool: self.pool.clone(), bufs: SmallVec::new(), tail: None, len: 0 };
        std::mem::replace(self, empty)
    }

    /// Copies bytes behind what is there.
    pub fn write(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let count = self.tail.as_mut().map_or(0, |tail| tail.write(bytes));
            bytes = &bytes[count..];
            if !bytes.is_empty() {
                self.seal();
                self.tail = self.pool.as_ref().map(Pool::take);
            }
        }
    }

    /// Appends a buf; a short one is copied.
    pub fn push(&mut self, buf: Buf) {
        if buf.len() <= COALESCE && self.tail.as_ref().is_some_and(|tail| tail.room() >= buf.len()) {
            return self.write(&buf);
        }
        self.seal();
        self.len += buf.len();
        self.bufs.push(buf);
    }

    /// Moves all of another batch behind what is there.
    pub fn append(&mut self, other: Self) {
        for buf in other.into_bufs() {
            self.push(buf);
        }
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bufs to send, none of them empty.
    pub fn into_bufs(mut self) -> SmallVec<[Buf; 2]> {
        self.seal();
        self.bufs.retain(|buf| !buf.is_empty());
        self.bufs
    }

    fn seal(&mut self) {
        self.bufs.extend(self.tail.take().map(BufMut::freeze));
    }
}

impl From<Buf> for Batch {
    /// A batch of one buf, which cannot be written to.
    fn from(buf: Buf) -> Self {
        let mut bufs = SmallVec::new();
        let (len, pool) = (buf.len(), Some(buf.pool.clone()));
        bufs.push(buf);
        Self { pool, bufs, tail: None, len }
    }
}

/// Drops the first `count` bytes of a list of bufs.
pub(super) fn skip(bufs: &mut SmallVec<[Buf; 2]>, mut count: usize) {
    let whole = bufs.iter().take_while(|buf| take_whole(&mut count, buf.len())).count();
    bufs.drain(..whole);
    if let Some(first) = bufs.first_mut() {
        first.advance(count);
    }
}

/// Subtracts a piece that fits in `count`.
fn take_whole(count: &mut usize, piece: usize) -> bool {
    count.checked_sub(piece).map(|rest| *count = rest).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buf(pool: &Pool, bytes: &[u8]) -> Buf {
        let mut buf = pool.take();
        assert_eq!(buf.write(bytes), bytes.len());
        buf.freeze()
    }

    #[test]
    fn splitting_shares_the_slot_and_the_last_share_brings_it_home() {
        let pool = Pool::new(8);
        let mut head = buf(&pool, b"headbody");
        let mut body = head.split_off(4);
        let first = body.split_to(1);
        assert_eq!((&*head, &*first, &*body), (&b"head"[..], &b"b"[..], &b"ody"[..]));
        body.advance(1);
        body.truncate(1);
        assert_eq!(&*body, b"d");
        assert!(body.split_off(9).is_empty());
        assert_eq!(pool.out(), 1);
        drop((head, first));
        assert_eq!(pool.out(), 1);
        drop(body);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn bytes_are_skipped_across_pieces() {
        let pool = Pool::new(4);
        for (count, left) in [(0, "abcdef"), (1, "bcdef"), (2, "cdef"), (5, "f"), (6, "")] {
            let pieces: [&[u8]; 3] = [b"ab", b"cde", b"f"];
            let mut bufs: SmallVec<[Buf; 2]> = pieces.iter().map(|piece| buf(&pool, piece)).collect();
            skip(&mut bufs, count);
            let rest: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
            assert_eq!(rest, left.as_bytes());
            assert!(bufs.iter().all(|buf| !buf.is_empty()), "{bufs:?}");
        }
    }

    #[test]
    fn reading_is_bounded_and_the_last_buf_home_is_the_first_out() {
        let pool = Pool::new(2);
        let (a, b) = (pool.take_for_recv().unwrap(), pool.take_for_recv().unwrap());
        assert!(pool.take_for_recv().is_none());
        let slot = a.slot;
        drop(a);
        assert_eq!(pool.take_for_recv().unwrap().slot, slot);
        drop(b);
    }

    #[test]
    fn the_pool_grows_by_slabs_and_every_slot_has_its_own_memory() {
        let pool = Pool::new(usize::MAX);
        let bufs: Vec<Buf> = (0..3 * SLAB).map(|i| buf(&pool, &i.to_le_bytes())).collect();
        assert!(bufs.iter().enumerate().all(|(i, buf)| **buf == i.to_le_bytes()));
        assert_eq!(pool.out(), bufs.len());
    }

    #[test]
    fn a_batch_copies_short_pieces_keeps_long_ones_and_writes_across_bufs() {
        let pool = Pool::new(8);
        let mut batch = Batch::new(&pool);
        batch.write(b"head ");
        batch.push(buf(&pool, b"short "));
        batch.push(buf(&pool, &[b'x'; COALESCE + 1]));
        batch.write(&[b'y'; BUF_SIZE + 1]);
        assert_eq!(batch.len(), 11 + COALESCE + 1 + BUF_SIZE + 1);
        let bufs = batch.into_bufs();
        let lens: Vec<usize> = bufs.iter().map(|buf| buf.len()).collect();
        assert_eq!(lens, [11, COALESCE + 1, BUF_SIZE, 1]);
        assert_eq!(&*bufs[0], b"head short ");
        drop(bufs);
        assert_eq!(pool.out(), 0);
    }
}
