import { classic } from '@citb/api/routes/index.ts';
import { html, type Html } from './html.ts';

const stream = `{"type": "text", "content": "I'll help you...", "seq": 3, …}
{"type": "tool_use", "content": {"id": "toolu_…", "name": "Write", "input": {…}}, "seq": 4, …}
{"type": "tool_result", "content": {"tool_use_id": "toolu_…", "content": "…", "is_error": false}, "seq": 5, …}
{"type": "completion", "content": "Done!", "outcome": "done", "seq": 9, …}`;

/** The first screen: from nothing to a file that the agent made, by curl. */
export const quickstart: Html = html`<h2 id="quickstart">Quickstart</h2>
  <p>Where the host listens, and its key (the host says at its start where the key is):</p>
  <pre><code>SANDBOX=http://127.0.0.1:8080
API_KEY=…</code></pre>
  <p>1. A box for a user of yours: a microVM of its own, with Claude Code in it.</p>
  <pre><code>${classic.createMicrovm.curl}</code></pre>
  <pre><code>{"status": "created", "vm_ip": "127.64.0.1", "pid": 1234}</code></pre>
  <p>2. A task. What the agent says and does streams as it happens; files can be sent along.</p>
  <pre><code>${classic.claudeInTheBox.curl}</code></pre>
  <pre><code>${stream}</code></pre>
  <p>3. What it made.</p>
  <pre><code>${classic.listWorkspaceFiles.curl}
${classic.downloadFile.curl}</code></pre>
  <p>4. Away with it.</p>
  <pre><code>${classic.killMicrovm.curl}</code></pre>
  <p>
    The classic API finds boxes by <code>user_id</code>. Applications that want more (labels, sizes, several boxes, cancelling, uploads,
    commands, terminals) use <a href="#tag-boxes"><code>/v1</code></a
    >, over the same boxes.
  </p>

  <h2 id="streams">Streams</h2>
  <p>
    Events of tasks, output of commands, changes of files and logs stream as JSON lines, or as server-sent events with
    <code>Accept: text/event-stream</code>. A quiet stream carries an empty line or a comment every 15 seconds.
  </p>
  <p>
    Events of a task have <code>seq</code>, counting from 1, and are kept. A client that leaves does not stop the task; after a broken
    connection <code>?after=</code> the last <code>seq</code> goes on where it broke, with nothing lost and nothing twice. A last line of
    type <code>stream_error</code> says that the stream ended early, not the task.
  </p>`;
