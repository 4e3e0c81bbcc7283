//! Buffers that free their memory when they are dropped.

use std::ops::Deref;

/// A buffer that is destroyed when it is dropped. In a browser, wgpu itself leaves this to the garbage collector, which
/// does not know how much GPU memory a buffer holds.
pub(super) struct Buffer(wgpu::Buffer);

impl Buffer {
    pub(super) fn new(device: &wgpu::Device, label: &str, size: u64, usage: wgpu::BufferUsages) -> Self {
        let descriptor =
            wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        Self(device.create_buffer(&descriptor))
    }
}

impl Deref for Buffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.destroy();
    }
}
