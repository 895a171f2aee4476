// The stepper: controls, an inlined drawing and highlights, made from what stands in the page: the
// drawing in the <img>, the words and numbers in the two tables, and which edge a step takes in the
// JSON. Text from the page only ever becomes text again: nothing is built from strings of HTML.
(() => {
  'use strict';
  const SVG = 'http://www.w3.org/2000/svg';
  const ICONS = {
    first: 'M4 3v10M13 3 7 8l6 5z', previous: 'M11 3 5 8l6 5z', next: 'M5 3l6 5-6 5z',
    last: 'M12 3v10M3 3l6 5-6 5z', play: 'M4 2.5 13 8l-9 5.5z', pause: 'M5 3v10M11 3v10',
  };
  // 0.5 × -3 = -1.5, with 2 from before: 0.5
  const NUMBERS = /^(\S+ × \S+) = ([^\s,]+)(?:, with (\S+) from before: (\S+))?/;
  const MOST_TERMS = 12; // of a sum that are written out
  const MOST_MEMBERS = 100; // of a collapsed box that are listed

  const cells = (row) => [...row.cells].map((cell) => cell.textContent.replace(/\n$/, ''));
  const toggle = (element, name, on) => element.classList.toggle(name, on);
  const bracket = (text) => (text.startsWith('-') ? `(${text})` : text);

  function put(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function make(tag, attributes = {}, ...children) {
    const element = put(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  }

  function button(press, attributes, ...children) {
    const element = make('button', { type: 'button', ...attributes }, ...children);
    element.addEventListener('click', press);
    return element;
  }

  function icon(name) {
    const [svg, path] = ['svg', 'path'].map((tag) => document.createElementNS(SVG, tag));
    svg.append(put(path, { d: ICONS[name] }));
    return put(svg, { viewBox: '0 0 16 16', 'aria-hidden': 'true' });
  }

  // Scroll the view, and nothing but the view, until the element can be seen in it.
  function reveal(view, element, margin) {
    const [outer, inner] = [view, element].map((each) => each.getBoundingClientRect());
    const off = (low, high, from, to) => (low < from || high > to ? low + high - from - to : 0) / 2;
    view.scrollLeft += off(inner.left, inner.right, outer.left, outer.right);
    view.scrollTop += off(inner.top, inner.bottom, outer.top + margin, outer.bottom);
  }

  class Stepper {
    constructor(root) {
      this.root = root;
      this.details = root.querySelector('details');
      this.rows = [...root.querySelectorAll('tr')];
      this.read(JSON.parse(root.querySelector('script[type="application/json"]').textContent));
      this.inline(root.querySelector('img'));
      this.index();
      this.build();
      this.listen();
      this.show(0);
    }

    read({ prefix, boxes, result, walk, grads }) {
      Object.assign(this, { prefix, boxes, result, hasGrads: grads });
      this.seed = boxes.length + 1; // the position where the backward pass begins, ∂y/∂y = 1
      this.end = this.rows.length;
      this.names = boxes.map((_, i) => cells(this.rows[i])[0]);
      this.members = new Map(boxes.map((box) => [box, []]));
      boxes.forEach((box, i) => this.members.get(box).push(i));
      this.into = boxes.map(() => []); // the steps that add to each value's gradient
      this.steps = walk.flatMap(([value, operands]) => operands
        .map((parent, place) => ({ value, parent, place }))
        .filter(({ parent }) => parent >= 0));
      const partial = (over, under) => `∂${this.names[over]}/∂${this.names[under]}`;
      this.lefts = boxes.map((_, i) => partial(result, i));
      const all = `${boxes.length} values forward, then ${this.steps.length} steps back`;
      this.texts = [`Press Next: ${all}.`,
        ...boxes.map((_, i) => cells(this.rows[i]).filter(Boolean).join(' = ')),
        `${this.lefts[result]} = 1`]; // and a text for each step
      this.steps.forEach((step, i) => {
        const { value, parent } = step;
        const numbers = cells(this.rows[this.seed + i])[2];
        const [, product, contribution, before, after = contribution] = NUMBERS.exec(numbers);
        const rule = `${this.lefts[value]} · ${partial(value, parent)}`;
        this.texts.push(`${this.lefts[parent]} = ${rule} = ${numbers}`);
        const position = this.seed + i + 1;
        Object.assign(step, { rule, product, contribution, before, after, position });
        this.into[parent].push(step);
      });
    }

    // The image's own data becomes the live drawing: it isn't sent a second time.
    inline(image) {
      this.image = image;
      const text = decodeURIComponent(image.src.slice(image.src.indexOf(',') + 1));
      const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
      this.svg = document.importNode(parsed.documentElement, true);
      this.svg.querySelector('style[media]').remove(); // the page says what is dark
      // An image is one thing to a screen reader; here the values are buttons.
      put(this.svg, { role: 'group' });
    }

    // By its key, "v3", each group of the drawing; by a box, all that appears with it, and the text
    // about its gradient.
    index() {
      this.elements = new Map();
      this.parts = new Map();
      this.gradTexts = new Map();
      for (const element of this.svg.querySelectorAll('g[id]')) {
        const key = element.id.slice(this.prefix.length + 1);
        const box = Number(/^(?:k?c|[vroe]|b\d+_)(\d+)/.exec(key)?.[1]);
        this.elements.set(key, element);
        this.parts.set(box, [...(this.parts.get(box) ?? []), key]);
        if (!key.startsWith('v')) continue;
        const [, ...lines] = element.querySelectorAll('text'); // the first is the name
        const words = this.hasGrads && /^(max abs )?grad(?= )/.exec(lines.at(-1).textContent)[0];
        if (words) this.gradTexts.set(box, { text: lines.at(-1), words });
        const label = `${element.querySelector('title').textContent}: show its gradient`;
        put(element, { tabindex: 0, role: 'button', 'aria-label': label });
      }
    }

    build() {
      this.root.querySelectorAll('.ag-live').forEach((old) => old.remove()); // of a saved page
      const control = (name, label, ...text) => button(
        () => this.press(name), { 'aria-label': label, title: label }, icon(name), ...text);
      this.back = [control('first', 'First step'), control('previous', 'Previous step')];
      this.on = [control('next', 'Next step', 'Next'), control('last', 'Last step')];
      this.on[0].classList.add('ag-main');
      this.player = control('play', 'Play');
      const phase = (name, start) => button(() => this.go(start), {}, name);
      this.phases = [phase('Forward', 1), phase('Backward', this.seed)];
      const fit = button(() => put(fit, { 'aria-pressed': toggle(this.graph, 'ag-fit') }),
        { 'aria-pressed': 'false' }, 'Fit');
      this.slider = make('input', { type: 'range', min: 0, max: this.end, 'aria-label': 'Step' });
      this.count = make('span', { class: 'ag-count' });
      this.equation = make('p', { class: 'ag-equation' });
      this.sum = make('p', { class: 'ag-sum' });
      const said = { class: 'ag-spoken', role: 'status', 'aria-atomic': 'true' };
      this.spoken = make('div', said, this.equation, this.sum);
      this.graph = make('div', { class: 'ag-scroll' }, this.svg);
      this.panel = make('section', { class: 'ag-panel', 'aria-live': 'polite', hidden: '' });
      this.live = make('div', { class: 'ag-live' },
        make('div', { class: 'ag-bar', role: 'group', 'aria-label': 'Step through the passes' },
          make('span', { class: 'ag-group' }, ...this.back, ...this.on, this.player), this.slider,
          make('span', { class: 'ag-group' }, ...this.phases), fit, this.count),
        this.spoken, this.graph, this.panel);
      this.image.before(this.live);
      this.image.hidden = true;
      this.play(false);
    }

    listen() {
      this.slider.addEventListener('input', () => this.go(Number(this.slider.value)));
      this.details.addEventListener('toggle', () => this.mark());
      this.details.addEventListener('click', (event) => {
        const row = event.target.closest('tr');
        if (row) this.go(this.rows.indexOf(row) + 1);
      });
      this.svg.addEventListener('click', (event) => this.pick(event));
      for (const part of [this.live, this.details]) {
        part.addEventListener('keydown', (event) => this.key(event));
      }
      if (!document.body.classList.contains('ag-page')) return;
      document.addEventListener('keydown', (event) => { // there is nothing else on the page
        if (event.target === document.body) this.key(event);
      });
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.stopPropagation(); // or a notebook takes Enter for "edit the cell" and x for "cut it"
      const row = event.target.closest?.('tr');
      const name = {
        ArrowLeft: 'previous', ArrowRight: 'next', Home: 'first', End: 'last', Escape: 'close',
        ...(row && { ArrowUp: 'previous', ArrowDown: 'next' }),
      }[event.key];
      if (['Enter', ' '].includes(event.key) && this.pick(event)) event.preventDefault();
      if (!name || event.target === this.slider) return; // a slider has its own keys
      event.preventDefault();
      this.press(name);
      if (row) this.marked.focus();
    }

    press(name) {
      const to = { first: 0, previous: this.position - 1, next: this.position + 1, last: this.end };
      if (name === 'play') this.play(!this.timer);
      else if (name === 'close') this.close();
      else this.go(to[name]);
    }

    go(position) {
      this.play(false);
      this.show(position);
    }

    play(on) {
      this.timer = clearInterval(this.timer); // undefined
      const label = on ? 'Pause' : 'Play';
      put(this.player, { title: label, 'aria-label': label });
      this.player.replaceChildren(icon(on ? 'pause' : 'play'));
      put(this.spoken, { 'aria-live': on ? 'off' : 'polite' }); // or it would never end
      if (!on) return;
      if (this.position === this.end) this.show(0);
      const pause = Math.min(1000, Math.max(80, 60000 / this.end)); // a minute, where it can be
      this.timer = setInterval(() => {
        if (this.root.isConnected) this.show(this.position + 1);
        if (!this.root.isConnected || this.position === this.end) this.play(false);
      }, pause);
    }

    // Position 0 is before everything, row i of the tables is position i + 1, and all that is shown
    // follows from the position.
    show(position) {
      this.position = Math.min(this.end, Math.max(0, position));
      const step = this.steps[this.position - this.seed - 1];
      this.say(step);
      this.dim();
      this.fill(step);
      this.highlight(this.lit(step));
      this.mark();
    }

    say(step) {
      const { position, seed, end } = this;
      this.equation.textContent = this.texts[position];
      this.sum.textContent = step?.before === undefined
        ? '' : `reached again: ${step.before} + ${bracket(step.contribution)} = ${step.after}`;
      const back = position >= seed;
      const [at, of] = back ? [position - seed, end - seed] : [position, seed - 1];
      const name = back ? 'backward' : 'forward';
      this.count.textContent = `${name} ${at} / ${of}`;
      put(this.slider, { 'aria-valuetext': `${name} ${at} of ${of}` }).value = position;
      // Not `disabled`: a button that is focused must not lose the focus when it has done its work.
      this.back.forEach((b) => put(b, { 'aria-disabled': position === 0 }));
      this.on.forEach((b) => put(b, { 'aria-disabled': position === end }));
      put(this.phases[0], { 'aria-pressed': position > 0 && !back });
      put(this.phases[1], { 'aria-pressed': back });
    }

    // In the forward pass a box is faint until the first of its values has been computed.
    dim() {
      for (const [box, [first]] of this.members) {
        const later = this.position > 0 && first >= this.position;
        this.parts.get(box).forEach((key) => toggle(this.elements.get(key), 'ag-later', later));
      }
    }

    fill(step) {
      const { boxes, position, result, seed } = this;
      const grads = boxes.map(() => (position === this.end ? '0' : undefined));
      if (position >= seed) grads[result] = '1';
      const done = this.steps.slice(0, Math.max(0, position - seed));
      for (const { parent, after } of done) grads[parent] = after;
      const changed = position >= seed ? boxes[step ? step.parent : result] : 0;
      for (const [box, { text, words }] of this.gradTexts) {
        const known = this.members.get(box).map((i) => grads[i]).filter(Boolean);
        const [grad = '–'] = known.sort((a, b) => Math.abs(b) - Math.abs(a));
        text.textContent = `${words} ${words === 'grad' ? grad : grad.replace(/^-/, '')}`;
        toggle(text, 'ag-new', box === changed);
      }
    }

    // Return the keys of what the current step is about, what it is mostly about first.
    lit(step) {
      const { boxes, position, seed } = this;
      if (step) {
        const [head, tail, place] = [boxes[step.value], boxes[step.parent], step.place];
        const edges = [`e${head}_${place}`, `b${tail}_${head}`];
        if (head === tail) return [`v${head}`]; // inside a collapsed box
        return [`v${tail}`, `v${head}`, `o${head}`, `r${head}`, ...edges];
      }
      if (position === 0) return [];
      const box = boxes[position === seed ? this.result : position - 1];
      const whole = position < seed && this.members.get(box).length === 1;
      return [`v${box}`, ...(whole ? this.parts.get(box) : [])];
    }

    highlight(keys) {
      this.svg.querySelectorAll('.ag-on').forEach((old) => toggle(old, 'ag-on', false));
      for (const key of keys) this.elements.get(key)?.classList.add('ag-on');
      if (keys.length) reveal(this.graph, this.elements.get(keys[0]), 0);
    }

    mark() {
      for (const name of ['aria-current', 'tabindex']) this.marked?.removeAttribute(name);
      this.marked = put(this.rows[Math.max(0, this.position - 1)], { tabindex: 0 });
      if (this.position) put(this.marked, { 'aria-current': 'step' });
      if (this.details.open) reveal(this.details, this.marked, 40); // below the sticky summary
    }

    // Open the value that an event is on; return whether there is one.
    pick(event) {
      const picked = event.target.closest?.('.ag-value');
      if (!picked) return false;
      this.picked = picked;
      const members = this.members.get(Number(picked.id.slice(this.prefix.length + 2)));
      this.open(members.length > 1 ? this.asList(members) : this.asSum(members[0]));
      return true;
    }

    open([heading, lines, buttons]) {
      this.panel.replaceChildren(
        button(() => this.close(), { class: 'ag-close', 'aria-label': 'Close' }, '×'),
        make('p', { class: 'ag-left' }, heading), ...lines.map((text) => make('p', {}, text)),
        make('p', { class: 'ag-jumps' }, ...buttons));
      this.panel.hidden = false;
    }

    close() {
      if (this.panel.contains(document.activeElement)) this.picked.focus();
      this.panel.hidden = true;
    }

    asSum(value) {
      const steps = this.into[value];
      const shown = steps.slice(0, MOST_TERMS);
      const more = steps.length > shown.length ? [`… (${steps.length - shown.length} more)`] : [];
      const [first, ...others] = shown.map((step) => step.contribution);
      const sums = [shown.map((step) => step.rule), shown.map((step) => step.product),
        ...(others.length ? [[first, ...others.map(bracket)]] : [])];
      const known = value === this.result ? '1: the backward pass begins here' : '0: unreached';
      const lines = first
        ? [...sums.map((terms) => [...terms, ...more].join(' + ')), steps.at(-1).after] : [known];
      const jumps = shown.map(({ position }) => button(
        () => this.go(position), {}, `step ${position - this.seed}`));
      return [this.lefts[value], lines.map((line) => `= ${line}`), jumps];
    }

    asList(members) {
      const shown = members.slice(0, MOST_MEMBERS);
      const less = shown.length < members.length ? `, the first ${MOST_MEMBERS}` : '';
      const grad = (value) => this.into[value].at(-1)?.after ?? (value === this.result ? '1' : '0');
      const buttons = shown.map((value) => button(
        () => this.open(this.asSum(value)), {}, `${this.names[value]}: ${grad(value)}`));
      return [`${members.length} values by their gradients${less}:`, [], buttons];
    }
  }

  // Programs that don't run the script where it stands start every stepper that isn't running yet;
  // one that runs keeps running when this is run again.
  const own = document.currentScript?.closest('.ag-stepper');
  for (const root of own ? [own] : document.querySelectorAll('.ag-stepper')) {
    root.agStepper ??= new Stepper(root);
  }
})();
