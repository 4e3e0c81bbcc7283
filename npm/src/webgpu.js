// What wgpu cannot ask of a browser yet.

let asking = false;

/** From now on every device is asked for with subgroups, where its adapter has them. */
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
 * Begins to compile a kernel without holding up anybody. Browsers compile the same text only once as long as the
 * result lives, so whoever asks for it later, and waits, hardly waits.
 */
export function compileAhead(device, label, code, types) {
  const entries = types.map(([binding, type]) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
  const layout = device.createPipelineLayout({
    label,
    bindGroupLayouts: [device.createBindGroupLayout({ label, entries })],
  });
  const module = device.createShaderModule({ label, code });
  // What is wrong with it, the one who waits for it will be told.
  return device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: "main" } }).catch(() => {});
}
