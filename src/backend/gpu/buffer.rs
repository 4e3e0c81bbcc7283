//! Buffers that give their memory back.

use std::ops::Deref;

/// A buffer that is destroyed when it is dropped. In a browser wgpu's own drop leaves that to the garbage
/// collector, which knows nothing of GPU memory.
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
