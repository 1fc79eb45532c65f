/** The whole look of `/docs`: system fonts, light and dark, no outside asset. */
export const style = `
:root { color-scheme: light dark;
  --ink: light-dark(#1b1f24, #e3e6ea); --soft: light-dark(#59636e, #98a2ad); --line: light-dark(#d9dee3, #30363d);
  --page: light-dark(#ffffff, #0e1116); --panel: light-dark(#f6f8fa, #161b22); --accent: light-dark(#b4532a, #f0925f);
  --get: light-dark(#0b6bb8, #6cb6ff); --post: light-dark(#1a7f37, #57c273); --put: light-dark(#8a5a00, #e0a948); --delete: light-dark(#b42318, #ff7b72); }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; color: var(--ink); background: var(--page); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
a { color: var(--accent); text-decoration: none; } a:hover, a:focus-visible { text-decoration: underline; }
code, pre, .path { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; font-size: .86em; }
code { overflow-wrap: anywhere; }
pre { margin: .75rem 0; padding: .8rem 1rem; overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; line-height: 1.5; }
pre code { overflow-wrap: normal; font-size: 1em; }
.layout { display: grid; grid-template-columns: 17.5rem minmax(0, 1fr); max-width: 78rem; margin: 0 auto; }
nav { position: sticky; top: 0; align-self: start; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 2rem 1.25rem; border-right: 1px solid var(--line); font-size: .9rem; }
nav a { display: block; padding: .12rem 0; color: var(--ink); } nav a.home { font-weight: 650; font-size: 1rem; }
nav a.tag { margin: 1.1rem 0 .2rem; font-size: .75rem; font-weight: 650; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); }
main { padding: 2rem 2.5rem 6rem; }
h1 { margin: 0; font-size: 2rem; letter-spacing: -.02em; } .lead { margin: .35rem 0 1rem; font-size: 1.12rem; color: var(--soft); }
h2 { margin: 3.2rem 0 .3rem; padding-top: 1.2rem; border-top: 1px solid var(--line); font-size: 1.4rem; letter-spacing: -.01em; }
h3 { margin: 2.3rem 0 .2rem; font-size: 1.08rem; } h4 { margin: 1.1rem 0 .3rem; font-size: .75rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); }
p { margin: .4rem 0 .6rem; max-width: 46rem; }
.path { display: inline-block; margin: .1rem 0 .3rem; font-size: .92em; overflow-wrap: anywhere; }
.method { font-weight: 700; margin-right: .5em; } .get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
.free { margin-left: .6em; padding: .05em .5em; border: 1px solid var(--line); border-radius: 1em; font: .75rem system-ui, sans-serif; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; } td { padding: .38rem .8rem .38rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
td table { margin: .3rem 0; } td:first-child { width: 15rem; } td p { margin: 0 0 .2rem; }
.type { color: var(--soft); } .need { color: var(--accent); font-size: .78rem; margin-left: .45em; }
.status { font-weight: 650; font-variant-numeric: tabular-nums; } .bad { color: var(--delete); } .good { color: var(--post); }
:target { scroll-margin-top: 1rem; } h3:target, h3:target + .path { background: color-mix(in srgb, var(--accent) 14%, transparent); }
@media (max-width: 55rem) { .layout { display: block; } nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); }
  nav a, nav a.home, nav a.tag { display: inline-block; margin: 0 .9rem 0 0; padding: .2rem 0; } nav a.home { display: block; } .routes { display: none; } main { padding: 1.2rem 1.1rem 4rem; } td:first-child { width: auto; } }
@media print { nav { display: none; } .layout { display: block; } }
`;
