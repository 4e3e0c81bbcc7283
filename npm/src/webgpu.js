// Functions of WebGPU that wgpu cannot use in browsers yet.

let asking = false;

/** From now on, every new device has subgroups if its adapter has them. */
export function askForSubgroups() {
  if (asking || !globalThis.GPUAdapter) return;
  asking = true;
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function (descriptor) {
    const more = ["subgroups"].filter((feature) => this.features.has(feature));
    const requiredFeatures = [...(descriptor?.requiredFeatures ?? []), ...more];
    return requestDevice.call(this, { ...descriptor, requiredFeatures });
  };
}

/**
 * Begins to compile a kernel in the background. Browsers compile the same text only once as long as the result is in
 * use, so a later request for it returns almost at once.
 */
export function compileAhead(device, label, code, types) {
  const entries = types.map(([binding, type]) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
  const layout = device.createPipelineLayout({
    label,
    bindGroupLayouts: [device.createBindGroupLayout({ label, entries })],
  });
  const module = device.createShaderModule({ label, code });
  // An error is ignored here, because the later request for the pipeline reports it.
  return device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: "main" } }).catch(() => {});
}
