// The script of the console. Every page works without it, but for the live tail. Whatever it shows
// becomes text: it makes no HTML.

const one = (selector) => document.querySelector(selector);

// A file goes into the field beside it, to be looked at before it is sent.
for (const input of document.querySelectorAll("input[type=file][data-into]")) {
  input.closest("label").hidden = false;
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    const field = input.form.elements[input.dataset.into];
    // As it is: what the gateway would not load must not look here as if it did.
    const bytes = await file.arrayBuffer();
    try {
      field.value = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      input.setCustomValidity("");
    } catch {
      field.value = "";
      input.setCustomValidity(`${file.name} is not UTF-8: save it as UTF-8 without a byte order mark.`);
    }
    input.reportValidity();
  });
}

// What changes by itself is asked for again, while somebody looks and types nothing.
const fresh = one("[data-refresh]");
if (fresh) {
  setInterval(() => {
    const typing = document.activeElement?.matches("input, select, textarea");
    const selected = String(getSelection()) !== "";
    if (document.visibilityState === "visible" && !typing && !selected) location.reload();
  }, 1000 * Number(fresh.dataset.refresh));
}

// On a narrow screen the pages are in one line.
const [pages, current] = [one('nav[aria-label="Pages"]'), one('nav [aria-current="page"]')];
if (current) pages.scrollLeft = current.getBoundingClientRect().left - pages.clientWidth / 2;

const live = one("#live");
if (live) tail(live);

function tail(live) {
  const KEPT = 500;
  const body = one("#tail tbody");
  const [area, state, pause] = [one("#tail"), one("#state"), one("#pause")];
  const fields = [...document.querySelectorAll("#fields input")];
  let rows = []; // the newest last
  let waiting = 0; // came while it was paused
  let missed = 0;
  let paused = false;
  let drawing = false;
  live.hidden = false;

  let connection = "connecting";
  let byHand = false; // paused by the button, not by scrolling

  const say = () => {
    const parts = [connection];
    if (paused) parts[0] = `paused, ${waiting} new`;
    if (missed) parts.push(`${missed} left out: they come faster than they are shown`);
    state.textContent = parts.join("; ");
  };
  const cell = (text, field) => {
    const td = document.createElement("td");
    td.dataset.field = field;
    td.textContent = text ?? "";
    return td;
  };
  const clock = (time) => {
    const isToday = time.slice(0, 10) === new Date().toISOString().slice(0, 10);
    return isToday ? time.slice(11, 23) : `${time.slice(0, 10)} ${time.slice(11, 19)}`;
  };
  const row = (record) => {
    const tr = document.createElement("tr");
    if (record.gap) {
      tr.className = "gap";
      const td = cell(record.gap, "gap");
      td.colSpan = 7;
      tr.append(td);
      return tr;
    }
    const seq = cell("", "seq");
    seq.className = "number";
    const link = document.createElement("a");
    link.href = `${live.dataset.record}?seq=${record.seq}`;
    link.textContent = record.seq;
    seq.append(link);
    const decision = cell("", "decision");
    const tag = document.createElement("span");
    tag.textContent = record.decision || record.event;
    if (record.decision) tag.className = `tag ${record.decision === "allow" ? "good" : "bad"}`;
    decision.append(tag);
    tr.append(
      cell(clock(record.time), "time"),
      cell(record.caller, "caller"),
      cell(record.entrance_name ?? record.entrance_id, "door"),
      decision,
      cell(record.reason, "reason"),
      cell(record.outcome, "outcome"),
      seq,
    );
    return tr;
  };
  const draw = () => {
    drawing = false;
    if (paused) return say();
    body.replaceChildren(...rows.map((r) => (r.element ??= row(r))).reverse());
    hide();
    waiting = 0;
    say();
  };
  const hide = () => {
    for (const field of fields) {
      for (const element of live.querySelectorAll(`[data-field="${field.value}"]`)) {
        element.hidden = !field.checked;
      }
    }
  };
  const keep = (record) => {
    rows.push(record);
    if (paused) waiting += 1;
    if (rows.length > KEPT) rows.splice(0, rows.length - KEPT);
    if (!drawing) {
      drawing = true;
      // At most four times a second, and not while nobody looks.
      setTimeout(() => requestAnimationFrame(draw), 250);
    }
  };
  const set = (to) => {
    paused = to;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
    draw();
  };

  pause.addEventListener("click", () => {
    byHand = !paused;
    area.scrollTop = 0;
    set(!paused);
  });
  // Who reads further down is not moved.
  area.addEventListener("scroll", () => {
    if (area.scrollTop > 40 && !paused) set(true);
    if (area.scrollTop === 0 && paused && !byHand) set(false);
  });
  one("#clear").addEventListener("click", () => {
    rows = [];
    missed = 0;
    draw();
  });
  one("#copy").addEventListener("click", async () => {
    const lines = rows.filter((r) => r.line).map((r) => r.line);
    try {
      await navigator.clipboard.writeText(lines.join("\n"));
      state.textContent = `copied ${lines.length} lines`;
    } catch {
      state.textContent = "this browser does not let a page copy";
    }
  });
  for (const field of fields) field.addEventListener("change", hide);

  const open = () => {
    // A stream that ends goes on by itself behind the record that it had; a new one is told which that is.
    const after = lastSeen ? `${live.dataset.stream.includes("?") ? "&" : "?"}after=${lastSeen}` : "";
    const source = new EventSource(live.dataset.stream + after);
    source.addEventListener("open", () => { connection = "live"; say(); });
    source.addEventListener("error", () => {
      connection = "connecting";
      // What is refused is not asked for again by a browser.
      if (source.readyState === EventSource.CLOSED) {
        connection = "no stream: the gateway refuses it, perhaps since many look; it is tried again";
        setTimeout(open, 3000);
      }
      say();
    });
    source.addEventListener("message", (event) => {
      lastSeen = event.lastEventId;
      keep(JSON.parse(event.data));
    });
    source.addEventListener("skipped", (event) => {
      missed += Number(event.data);
      keep({ gap: `${event.data} records were left out here: they come faster than they are shown` });
    });
    source.addEventListener("lost", (event) => {
      keep({ gap: `${event.data} records are not in the log here` });
    });
  };
  let lastSeen = "";
  open();
  say();
}
