const BEFORE = 10
const AFTER = 5
const KEPT = 60000

// The button that saves the seconds around now. `speak` says a line to those who do not see the page.
export class ClipButton {
  constructor(button, trouble, name, speak) {
    this.button = button
    this.trouble = trouble
    this.name = name
    this.speak = speak
    this.before = 0
    this.busy = false
    button.addEventListener('click', () => this.take())
  }

  // How many seconds back a clip can go; none where that is 0.
  offer(seconds) {
    this.before = Math.min(BEFORE, seconds)
    this.button.hidden = !seconds
    const label = `Save a clip of ${this.name}: the last ${this.before} seconds and the next ${AFTER}`
    if (this.button.title !== label) {
      this.button.title = label
      this.button.setAttribute('aria-label', label)
    }
  }

  async take() {
    if (this.busy) return
    this.working(true)
    this.tell('')
    const ends = performance.now() + AFTER * 1000
    const count = () => {
      const left = Math.ceil((ends - performance.now()) / 1000)
      this.button.textContent = left > 0 ? `Clip in ${left} s` : 'Clip …'
    }
    count()
    const counting = setInterval(count, 250)
    this.speak(`${this.name}: saving a clip, ready in about ${AFTER} seconds`)
    try {
      const answer = await fetch(`api/cameras/${encodeURIComponent(this.name)}/clip.mp4?before=${this.before}&after=${AFTER}`)
      if (answer.status === 401) location.assign('login')
      if (!answer.ok) throw new Error(reason(await answer.text()))
      save(await answer.blob(), /filename="(.+?)"/.exec(answer.headers.get('content-disposition'))[1])
      this.speak(`${this.name}: clip saved`)
    } catch (error) {
      // What fetch itself says of a server that is gone helps nobody.
      this.tell(error instanceof TypeError ? `${this.name}: no clip: no connection to Lookout` : error.message)
    } finally {
      clearInterval(counting)
      this.working(false)
    }
  }

  working(busy) {
    this.busy = busy
    this.button.setAttribute('aria-busy', busy)
    if (!busy) this.button.textContent = 'Clip'
  }

  tell(problem) {
    this.trouble.textContent = problem
    if (problem) this.speak(problem)
  }
}

function reason(text) {
  try {
    return JSON.parse(text).error
  } catch {
    return text.trim()
  }
}

function save(film, name) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(film)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT)
}
