// A worker in a hidden frame. Browsers start none from a file, and a site opened from disk searches.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.answer = data => this.dispatchEvent(new MessageEvent("message", { data }))
      document.body.append(frame)
      this.inside = frame.contentWindow
      const page = this.inside.document
      page.open()
      page.write("<script>self.postMessage = data => frameElement.answer(data)<\/script>")
      page.write(`<script src="${new URL(url, location)}"><\/script>`)
      page.close()
      this.ready = new Promise(done => frame.addEventListener("load", done))
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
}
