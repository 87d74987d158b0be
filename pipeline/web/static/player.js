// Without a word from the detector for this long, pictures do not wait for boxes.
const SILENT = 1000
// While boxes come, pictures that the detector left out are passed over; after this long one is shown without boxes.
const BARE = 1000
// A decoder that has been behind for this long goes on at the next keyframe.
const BEHIND = 2000
const BUSY = 30
// A page that begins again at the last keyframe, when the camera changes its codec or size, shows no picture twice; in
// microseconds, for a longer way back is a restart of the camera.
const LATE = 1000000
const KEPT = 900
const MOST_FAILURES = 3
const FAILURE_TIME = 10000

// Decodes the pictures that a camera sends and gives each one out with its own boxes.
export class Player {
  constructor(failed) {
    this.failed = failed
    this.failures = []
    this.hold = 150
    this.most = 8
    this.spokenAt = -Infinity
    this.boxedAt = -Infinity
    this.newest = -Infinity
    this.reset()
  }

  reset() {
    this.decoder = null
    this.codec = ''
    this.waiting = true
    this.behindSince = null
    this.frames = []
    this.words = new Map()
    this.captured = new Map()
  }

  // Lets go of the decoder and every picture; the next keyframe starts anew.
  stop() {
    if (this.decoder !== null && this.decoder.state !== 'closed') this.decoder.close()
    for (const { frame } of this.frames) frame.close()
    this.reset()
  }

  take(header, data) {
    const now = performance.now()
    if (header.key) {
      if (this.decoder === null || this.codec !== header.codec) this.start(header.codec)
      this.waiting = false
    }
    if (this.waiting || this.decoder === null) return
    if (this.decoder.decodeQueueSize <= BUSY) this.behindSince = null
    else this.behindSince ??= now
    if (this.behindSince !== null && now - this.behindSince > BEHIND && !header.key) {
      this.waiting = true
      return
    }
    keep(this.captured, header.pts, header.at)
    try {
      this.decoder.decode(new EncodedVideoChunk({ type: header.key ? 'key' : 'delta', timestamp: header.pts, data }))
    } catch {
      this.fail()
    }
  }

  start(codec) {
    if (this.decoder !== null && this.decoder.state !== 'closed') this.decoder.close()
    const own = new VideoDecoder({
      output: (frame) => (this.decoder === own ? this.push(frame) : frame.close()),
      error: () => this.decoder === own && this.fail(),
    })
    this.decoder = own
    this.codec = codec
    try {
      own.configure({ codec, optimizeForLatency: true })
    } catch {
      this.fail()
    }
  }

  push(frame) {
    if (frame.timestamp < this.newest && this.newest - frame.timestamp < LATE) {
      frame.close()
      return
    }
    this.newest = frame.timestamp
    this.frames.push({ frame, since: performance.now() })
    while (this.frames.length > this.most) this.frames.shift().frame.close()
  }

  fail() {
    const now = performance.now()
    this.stop()
    this.failures = [...this.failures.filter((at) => now - at < FAILURE_TIME), now]
    if (this.failures.length >= MOST_FAILURES) {
      this.failures = []
      this.failed()
    }
  }

  say(words) {
    this.spokenAt = performance.now()
    keep(this.words, words.pts, words)
  }

  // The newest picture that is ready, for the caller to close: its boxes are there, or it has waited long enough.
  next(boxes) {
    const now = performance.now()
    const expected = boxes && now - this.spokenAt < SILENT
    let chosen = null
    while (this.frames.length) {
      const { frame, since } = this.frames[0]
      const words = this.words.get(frame.timestamp)
      if (words === undefined && expected && now - since < this.hold) break
      this.frames.shift()
      if (words?.missed && boxes && now - this.boxedAt < BARE) {
        frame.close()
        continue
      }
      chosen?.frame.close()
      chosen = { frame, words, at: this.captured.get(frame.timestamp) }
    }
    if (chosen?.words?.boxes) this.boxedAt = now
    return chosen
  }

  // How long to hold a picture, in milliseconds, and thereby how many may wait.
  expect(hold, fps) {
    this.hold = hold
    this.most = Math.ceil((hold * Math.max(fps, 15)) / 1000) + 4
  }
}

function keep(map, key, value) {
  map.set(key, value)
  if (map.size > KEPT) map.delete(map.keys().next().value)
}

const answers = new Map()

// Whether this browser decodes a codec; undefined until it has said so, and `changed` is called then.
export function decodes(codec, changed) {
  if (!('VideoDecoder' in window)) return false
  if (!answers.has(codec)) {
    answers.set(codec, undefined)
    VideoDecoder.isConfigSupported({ codec, optimizeForLatency: true })
      .then(({ supported }) => answers.set(codec, supported), () => answers.set(codec, false))
      .then(changed)
  }
  return answers.get(codec)
}
