const SECONDS = 300
const LEAST = 60

// People and the age of the picture over the last minutes, a sample each second.
export class Chart {
  constructor(canvas, name) {
    this.canvas = canvas
    this.name = name
    this.samples = []
  }

  add(people, age) {
    this.samples.push({ people, age })
    if (this.samples.length > SECONDS) this.samples.shift()
  }

  draw() {
    const { canvas, samples } = this
    const ratio = devicePixelRatio || 1
    const [wide, tall] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)]
    if (!wide || !tall) return
    if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall]
    const context = canvas.getContext('2d')
    const style = getComputedStyle(canvas)
    const mostPeople = Math.max(4, ...samples.map(({ people }) => people ?? 0))
    const oldest = Math.max(200, ...samples.map(({ age }) => age ?? 0))
    context.clearRect(0, 0, wide, tall)
    const span = Math.max(LEAST, samples.length)
    const x = (place) => wide - ((samples.length - place) / span) * wide
    context.fillStyle = style.getPropertyValue('--people')
    samples.forEach(({ people }, place) => {
      if (people === null) return
      const height = (people / mostPeople) * (tall - 2 * ratio)
      context.fillRect(x(place), tall - height, Math.max(1, wide / span), height)
    })
    context.strokeStyle = style.getPropertyValue('--age')
    context.lineWidth = 1.5 * ratio
    context.beginPath()
    let down = false
    samples.forEach(({ age }, place) => {
      if (age === null) down = false
      else {
        context[down ? 'lineTo' : 'moveTo'](x(place + 0.5), tall - ratio - (age / oldest) * (tall - 2 * ratio))
        down = true
      }
    })
    context.stroke()
    this.describe()
  }

  describe() {
    const people = this.samples.map((each) => each.people).filter((each) => each !== null)
    const ages = this.samples.map((each) => each.age).filter((each) => each !== null)
    const minutes = Math.max(1, Math.round(this.samples.length / 60))
    const crowd = people.length ? `at most ${Math.max(...people)} people and ` : ''
    const words = ages.length ? `${crowd}a picture at most ${Math.max(...ages)} ms old` : 'no pictures'
    const text = `${this.name}, last ${minutes} min: ${words}`
    if (this.canvas.getAttribute('aria-label') !== text) this.canvas.setAttribute('aria-label', text)
    const bars = people.length ? `people (bars, to ${Math.max(4, ...people)}) and ` : ''
    this.canvas.title = `${bars}age (line, to ${Math.max(200, ...ages)} ms), last ${minutes} min`
  }
}
