//! Reads a buffer back: a future that works both on the event loop of a browser and on a native thread, which must
//! poll.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::buffer::Buffer;
use super::device::Gpu;
use crate::error::{Error, Result};

/// The result that the map callback stores for the future.
#[derive(Default)]
struct Shared {
    result: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

/// Resolves when the first `bytes` of a buffer are readable. If it is dropped earlier, the buffer is unmapped, so that
/// it can be used again after an abandoned forward pass.
struct Mapped {
    gpu: Gpu,
    buffer: wgpu::Buffer,
    bytes: u64,
    /// The submission to wait for; `None` waits for all submitted work.
    submission: Option<wgpu::SubmissionIndex>,
    shared: Arc<Mutex<Shared>>,
}

impl Mapped {
    fn new(gpu: &Gpu, buffer: &Buffer, bytes: u64, submission: Option<wgpu::SubmissionIndex>) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let callback = shared.clone();
        buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            let mut shared = callback.lock().unwrap_or_else(PoisonError::into_inner);
            shared.result = Some(result);
            if let Some(waker) = shared.waker.take() {
                waker.wake();
            }
        });
        Self { gpu: gpu.clone(), buffer: (**buffer).clone(), bytes, submission, shared }
    }

    fn take(&self, waker: &Waker) -> Option<Result<(), wgpu::BufferAsyncError>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.waker = Some(waker.clone());
        shared.result.take()
    }

    /// The values of the buffer, after the future has resolved.
    fn values<T: bytemuck::Pod>(&self) -> Result<Vec<T>> {
        self.gpu.check()?;
        self.gpu.count(|counts| {
            counts.readbacks += 1;
            counts.bytes_read += self.bytes;
        });
        let view = self.buffer.get_mapped_range(0..self.bytes).map_err(|error| {
            Error::device(format!("reading a buffer failed ({error})"), "Load the model again")
        })?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}

impl Future for Mapped {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut result = self.take(cx.waker());
        if result.is_none() {
            // In native programs the callback runs only while the device is polled. In a browser this does nothing.
            if let Err(error) = self.gpu.wait_for(self.submission.clone()) {
                return Poll::Ready(Err(error));
            }
            result = self.take(cx.waker());
        }
        match result {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(Ok(())),
            // The fault of the device, if there is one, is the cause of the failed mapping.
            Some(Err(error)) => Poll::Ready(Err(self.gpu.fault().unwrap_or_else(|| {
                Error::device(format!("reading a buffer failed ({error})"), "Load the model again")
            }))),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.buffer.unmap();
    }
}

/// Reads the first `values` f32 of a mappable buffer.
pub(super) async fn read(gpu: &Gpu, buffer: &Buffer, values: usize) -> Result<Vec<f32>> {
    let mut mapped = Mapped::new(gpu, buffer, 4 * values as u64, None);
    (&mut mapped).await?;
    mapped.values()
}

/// Small buffers that are used in turn, so that results are read while the device computes the next ones.
pub(super) struct Readbacks {
    free: Vec<Buffer>,
    pending: VecDeque<PendingRead>,
}

/// A submit whose results were not read yet.
struct PendingRead {
    // The first field is dropped first: a buffer must be unmapped before it is destroyed.
    mapped: Mapped,
    buffer: Buffer,
    /// Words that the submit copies to the buffer.
    count: usize,
    /// Positions of the caches that the submit fills.
    positions: usize,
}

impl Readbacks {
    /// `count` buffers of `bytes` bytes each.
    pub(super) fn new(gpu: &Gpu, count: usize, bytes: u64) -> Result<Self> {
        let free = (0..count).map(|_| gpu.staging("tokens for reading", bytes)).collect::<Result<_>>()?;
        Ok(Self { free, pending: VecDeque::new() })
    }

    /// Number of submits that were not read yet.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Number of words that were not read yet.
    pub(super) fn words(&self) -> usize {
        self.pending.iter().map(|read| read.count).sum()
    }

    /// Number of positions that those submits fill.
    pub(super) fn positions(&self) -> usize {
        self.pending.iter().map(|read| read.positions).sum()
    }

    /// Takes a buffer for results. [`Readbacks::push`] returns it.
    pub(super) fn take(&mut self) -> Result<Buffer> {
        self.free.pop().ok_or_else(|| Error::internal("more was submitted than can be read"))
    }

    /// Begins to read `count` words that `submission` copies to `buffer`. If `count` is 0, it reads one word and
    /// ignores it, to know when the submission is done.
    pub(super) fn push(
        &mut self,
        gpu: &Gpu,
        buffer: Buffer,
        count: usize,
        positions: usize,
        submission: wgpu::SubmissionIndex,
    ) {
        let mapped = Mapped::new(gpu, &buffer, 4 * count.max(1) as u64, Some(submission));
        self.pending.push_back(PendingRead { mapped, buffer, count, positions });
    }

    /// The words of the oldest submit, and the number of positions that it filled. If the future is dropped early, a
    /// new call gives the same words.
    pub(super) async fn next(&mut self) -> Result<(Vec<u32>, usize)> {
        let Some(read) = self.pending.front_mut() else { return Ok((Vec::new(), 0)) };
        let result = (&mut read.mapped).await.and_then(|()| read.mapped.values());
        let (count, positions) = (read.count, read.positions);
        if let Some(PendingRead { buffer, mapped, .. }) = self.pending.pop_front() {
            drop(mapped);
            self.free.push(buffer);
        }
        let mut words: Vec<u32> = result?;
        words.truncate(count);
        Ok((words, positions))
    }

    /// Ignores the results of all submits. The device still computes them.
    pub(super) fn discard(&mut self) {
        self.free.extend(self.pending.drain(..).map(|read| read.buffer));
    }
}
