// Pages opened as files may not start workers, and the search is one. There, and only there, a
// hidden frame takes its place: it runs the same script and speaks the same messages.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.addEventListener("load", () => this.run(frame.contentWindow, url), { once: true })
      this.waiting = []
      document.body.append(frame)
    }

    run(inside, url) {
      const outside = this
      inside.postMessage = data => {
        const event = new MessageEvent("message", { data })
        outside.dispatchEvent(event)
        outside.onmessage?.(event)
      }
      inside.importScripts = () => {}  // further languages: English needs none
      const script = inside.document.createElement("script")
      script.src = url
      script.addEventListener("load", () => {
        this.deliver = data => inside.dispatchEvent(new MessageEvent("message", { data }))
        this.waiting.splice(0).forEach(this.deliver)
      })
      inside.document.body.append(script)
    }

    postMessage(data) {
      if (this.deliver) setTimeout(this.deliver, 0, data)
      else this.waiting.push(data)
    }

    terminate() {}
  }
}
