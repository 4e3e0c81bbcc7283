// Counts the calls to WebGPU, in the page and in its workers. Functions are wrapped only when counting begins, so that
// counting does not change the timings.

(() => {
  if (self.webgpuCalls) return;
  const NAMES = ["dispatches", "submits", "readbacks", "bytesRead", "writes", "bytesWritten", "bindGroups", "buffers", "pipelines", "passes"];
  let counts = null;

  const add = (name, count = 1) => Atomics.add(counts, NAMES.indexOf(name), count);

  function wrap(type, method, count) {
    const prototype = self[type]?.prototype;
    const original = prototype?.[method];
    if (!original) return;
    prototype[method] = function (...args) {
      count(args, this);
      return original.apply(this, args);
    };
  }

  function install(shared) {
    counts = new Int32Array(shared);
    wrap("GPUComputePassEncoder", "dispatchWorkgroups", () => add("dispatches"));
    wrap("GPUComputePassEncoder", "dispatchWorkgroupsIndirect", () => add("dispatches"));
    wrap("GPUQueue", "submit", () => add("submits"));
    wrap("GPUBuffer", "mapAsync", ([, , size], buffer) => {
      add("readbacks");
      add("bytesRead", size ?? buffer.size);
    });
    wrap("GPUQueue", "writeBuffer", ([, , data, offset = 0, size]) => {
      const unit = data.BYTES_PER_ELEMENT ?? 1;
      add("writes");
      add("bytesWritten", size === undefined ? data.byteLength - offset * unit : size * unit);
    });
    wrap("GPUDevice", "createBindGroup", () => add("bindGroups"));
    wrap("GPUDevice", "createBuffer", () => add("buffers"));
    wrap("GPUDevice", "createComputePipeline", () => add("pipelines"));
    wrap("GPUDevice", "createComputePipelineAsync", () => add("pipelines"));
    wrap("GPUCommandEncoder", "beginComputePass", () => add("passes"));
  }

  if (typeof WorkerGlobalScope !== "undefined") {
    self.webgpuCalls = {};
    addEventListener("message", (event) => {
      if (!event.data?.countWebgpuCalls) return;
      event.stopImmediatePropagation();
      install(event.data.countWebgpuCalls);
    });
    return;
  }

  // This code puts this file in front of workers made from a blob. The server puts it in front of module workers.
  const workers = [];
  const own = document.currentScript.src;
  const Original = self.Worker;
  const text = (url) => {
    const request = new XMLHttpRequest();
    request.open("GET", url, false);
    request.send();
    return request.responseText;
  };
  self.Worker = class extends Original {
    constructor(url, options) {
      const blob = String(url).startsWith("blob:");
      const source = blob ? URL.createObjectURL(new Blob([text(own), "\n;", text(url)], { type: "text/javascript" })) : url;
      super(source, options);
      workers.push(this);
    }
  };
  self.webgpuCalls = {
    start() {
      const shared = new SharedArrayBuffer(4 * NAMES.length);
      install(shared);
      for (const worker of workers) worker.postMessage({ countWebgpuCalls: shared });
    },
    read: () => Object.fromEntries(NAMES.map((name, index) => [name, Atomics.load(counts, index)])),
  };
})();
