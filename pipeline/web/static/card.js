import { Chart } from './chart.js'
import { ClipButton } from './clip.js'
import { fit, paint } from './paint.js'
import { decodes, Player } from './player.js'

// A picture older than this, of a live camera, is dimmed here, whatever the server says or fails to say.
const OLD = 1500
// Pictures without a word of what is in them for this long: the page says that boxes are missing.
const WORDLESS = 2000
// A camera that this browser failed to decode is shown as JPEG for this long.
const GIVEN_UP = 60000
// States that end with the first new picture, which may be here before the server's word of it.
const GONE = new Set(['connecting', 'offline', 'retrying', 'stalled'])
// States whose own name would say that all is well.
const WELL = new Set(['live', 'late'])
const MODES = {
  direct: ['H.264', 'the camera’s own pictures, decoded here'],
  jpeg: ['JPEG', 'painted by Lookout, boxes burnt in'],
}

// One camera on the page. `page` offers say, changed, enlarge, large, offset, silent and show.
export class Card {
  constructor(name, page) {
    this.name = name
    this.page = page
    this.visible = true
    this.live = true
    this.pictureAt = null
    this.numbers = null
    this.numbersAt = 0
    this.mode = null
    this.words = null
    this.worstAge = null
    this.level = 'idle'
    this.direct = false
    this.givenUpAt = -Infinity
    this.player = new Player(() => {
      this.givenUpAt = performance.now()
      page.changed()
    })
    this.element = document.getElementById('camera').content.firstElementChild.cloneNode(true)
    this.element.dataset.camera = name
    this.canvas = this.element.querySelector('.fit canvas')
    this.context = this.canvas.getContext('2d', { alpha: false })
    this.picture = this.element.querySelector('.picture')
    this.banner = this.element.querySelector('.banner')
    this.pill = this.element.querySelector('footer .pill')
    this.fields = Object.fromEntries(['people', 'fps', 'age', 'mode'].map((key) => [key, this.element.querySelector(`.${key}`)]))
    this.chart = new Chart(this.element.querySelector('.chart'), name)
    this.element.querySelector('h2').textContent = name
    const [clip, trouble] = ['.clip', '.trouble'].map((each) => this.element.querySelector(each))
    this.clip = new ClipButton(clip, trouble, name, speak)
    const save = this.element.querySelector('.save')
    save.href = `api/cameras/${encodeURIComponent(name)}/snapshot.jpg`
    save.download = `${name}.jpg`
    save.setAttribute('aria-label', `Save a snapshot of ${name}`)
    this.stream = this.element.querySelector('.stream')
    this.stream.setAttribute('aria-label', `HLS address of ${name} for TVs and players`)
    this.picture.addEventListener('click', () => page.enlarge(page.large === name ? null : name))
  }

  watched() {
    return !document.hidden && (this.page.large === null ? this.visible : this.page.large === this.name)
  }

  // Direct where this browser decodes what the camera sends, else JPEG; null until that is known.
  choose() {
    if (this.numbers === null) return null
    const codec = this.numbers.direct?.codec
    if (performance.now() - this.givenUpAt < GIVEN_UP) return 'jpeg'
    // A camera without any picture yet may turn out to be either.
    if (!codec) return this.numbers.age_ms === null ? null : 'jpeg'
    const able = decodes(codec, this.page.changed)
    return able === undefined ? null : able ? 'direct' : 'jpeg'
  }

  // Watch in this mode from now on, or not at all.
  follow(mode) {
    if (mode !== 'direct') this.player.stop()
    this.direct = mode === 'direct'
    if (mode !== null) this.mode = mode
  }

  takePacket(header, data) {
    if (this.direct && !document.hidden) this.player.take(header, data)
  }

  takeWords(words) {
    if (this.direct) this.player.say(words)
  }

  // Called for every refresh of the screen.
  step() {
    if (!this.direct) return
    const show = this.shown()
    const next = this.player.next(show.boxes)
    if (next === null) return
    if (fit(this.canvas, next.frame.displayWidth, next.frame.displayHeight)) this.shape()
    paint(this.context, next.frame, next.words, show)
    this.words = next.words ?? null
    this.element.dataset.pts = next.frame.timestamp
    next.frame.close()
    this.picture.style.setProperty('--title', '0%')
    this.painted(next.at)
  }

  async takeJpeg(header, jpeg) {
    try {
      const bitmap = await createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' }))
      if (!this.direct) {
        if (fit(this.canvas, bitmap.width, bitmap.height)) this.shape()
        this.context.drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height)
        this.live = header.live
        this.picture.style.setProperty('--title', `${header.title * 100}%`)
        this.element.dataset.seq = header.seq
        this.painted(header.at)
      }
      bitmap.close()
    } finally {
      this.page.say({ seen: this.name })
    }
  }

  painted(at) {
    const now = performance.now()
    if (this.pictureAt === null) performance.measure(`first picture of ${this.name}`, { start: this.page.openedAt, end: now })
    const first = this.pictureAt === null || this.element.classList.contains('stale')
    this.pictureAt = at === undefined ? now : Math.min(now, at + this.page.offset)
    const age = Math.round(now - this.pictureAt)
    this.worstAge = Math.max(this.worstAge ?? 0, age)
    this.element.dataset.age = age
    if (first) this.refresh()
  }

  shape() {
    this.picture.style.setProperty('--ratio', this.canvas.width / this.canvas.height)
  }

  // Boxes and labels that both the configuration and this page's switches want.
  shown() {
    const { boxes, labels, scores } = this.page.show
    const allowed = this.numbers?.direct ?? { boxes: true, labels: true }
    return { boxes: boxes && allowed.boxes, labels: labels && allowed.labels, scores }
  }

  takeNumbers(numbers) {
    this.numbers = numbers
    this.numbersAt = performance.now()
    this.stream.hidden = numbers.hls === null
    if (numbers.hls !== null) this.stream.href = numbers.hls.slice(1)
    this.clip.offer(numbers.clip_s)
    if (numbers.direct) {
      this.player.expect(numbers.direct.hold_ms, numbers.fps_in)
      this.live = numbers.live
    }
    this.refresh()
    this.chart.add(this.element.classList.contains('stale') ? null : this.people(), this.worstAge)
    this.worstAge = null
    if (this.watched()) this.chart.draw()
  }

  // False for a camera that is only watched.
  detected() {
    return this.numbers?.detected ?? true
  }

  people() {
    if (!this.detected()) return null
    if (!this.direct) return this.numbers?.people ?? null
    return this.words?.boxes ? this.words.boxes.length : this.wordless() ? null : (this.numbers?.people ?? null)
  }

  wordless() {
    return this.direct && this.detected() && performance.now() - this.player.spokenAt > WORDLESS
  }

  judged(now, age) {
    const words = (this.direct ? this.numbers?.direct : null) ?? this.numbers
    if (this.page.silent(now)) return ['bad', 'no connection to Lookout', true]
    if (words === null) return ['idle', 'connecting', true]
    if (words.stale && GONE.has(this.numbers.state) && age !== null && age < OLD && this.pictureAt > this.numbersAt) {
      return ['good', `LIVE ${Math.round(age)} ms`, false]
    }
    if (!words.stale && this.live && age !== null && age > OLD && this.watched()) {
      return ['bad', `no picture for ${Math.round(age / 1000)} s`, true]
    }
    if (!words.stale && this.wordless() && this.watched()) return ['warn', `${words.text}, no boxes`, false]
    return [words.level, words.text, words.stale]
  }

  // The state in a word or two, which never says less than what stands over the picture.
  state(text, stale, age) {
    if (!stale) return text.endsWith('no boxes') ? `${text.split(' ')[0]}, no boxes` : text.split(' ')[0]
    if (this.page.silent(performance.now())) return 'no connection'
    const state = this.numbers?.state ?? 'connecting'
    return !WELL.has(state) ? state : age === null ? 'no picture yet' : 'no picture'
  }

  refresh() {
    const now = performance.now()
    const age = this.pictureAt === null ? null : Math.max(0, now - this.pictureAt)
    const [level, text, stale] = this.judged(now, age)
    // Words that change each second would drown a screen reader: only a change of level is spoken.
    if (this.element.dataset.level !== level && this.element.dataset.level) {
      speak(`${this.name}: ${text}`)
    }
    this.element.dataset.level = level
    this.element.classList.toggle('stale', stale)
    write(this.banner, stale ? text : '')
    write(this.pill, this.state(text, stale, age))
    this.pill.dataset.level = level
    const people = stale ? null : this.people()
    write(this.fields.people, this.detected() ? (people ?? '–') : 'detection off')
    this.level = level
    // Of a camera that is only watched, Lookout itself shows no frames.
    const fps = this.detected() ? this.numbers?.fps : this.numbers?.fps_in
    write(this.fields.fps, fps !== undefined && !stale ? fps.toFixed(1) : '–')
    this.element.classList.toggle('undetected', !this.detected())
    write(this.fields.age, age === null ? '–' : age < OLD ? `${Math.round(age)} ms` : `${Math.round(age / 1000)} s`)
    const [mode, why] = MODES[this.mode] ?? ['', '']
    write(this.fields.mode, mode)
    if (this.fields.mode.title !== why) this.fields.mode.title = why
    this.element.dataset.mode = this.mode ?? ''
    const counted = !this.detected() ? ', detection off' : people === null ? '' : `, ${people} ${people === 1 ? 'person' : 'people'}`
    const what = this.page.large === this.name ? 'Back to all cameras' : 'Enlarge'
    const label = `${this.name}, ${text}${counted}. ${what}`
    if (this.picture.getAttribute('aria-label') !== label) this.picture.setAttribute('aria-label', label)
  }
}

// To those who do not see the page.
function speak(text) {
  write(document.getElementById('spoken'), text)
}

export function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text
}
