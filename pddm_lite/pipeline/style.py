"""The report's looks: light and dark, from a telephone's width on; nothing is loaded."""

CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f3f4f6; --line: #d5d9df;
  --good: #0a7a4b; --bad: #b3261e; --open: #8a6100; --link: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #15181c; --soft: #20252b;
  --line: #3a4149; --good: #57d39b; --bad: #ff8a80; --open: #ffcf66; --link: #8ab4f8; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; overflow-wrap: anywhere; }
a { color: var(--link); }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.nb h1 { font-size: 1.5rem; } .nb h2 { font-size: 1.25rem; margin-top: 1.8rem; }
.badge { max-width: 100%; height: auto; }

/* what is wider than the page scrolls in a box of its own */
.scroll, .nb .output_html, .nb .output_markdown, .nb .rendered_html { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; overflow-wrap: normal; }
th, td, table[border] th, table[border] td { padding: .3rem .6rem; text-align: left !important;
  vertical-align: top; border: 0; border-bottom: 1px solid var(--line); }
th { background: var(--soft); } table[border] { border: 0; }
.num td:not(:first-child) { white-space: nowrap; }
.num td:first-child, .num th:first-child { position: sticky; left: 0; }
.num td:first-child { background: var(--paper); }
.verdicts td:nth-child(2), .verdicts td:nth-child(4) { white-space: nowrap; }
.v { font-weight: 650; white-space: nowrap; } .reproduced { color: var(--good); }
.level { color: var(--link); }
.not-reproduced { color: var(--bad); } .not-enough-evidence { color: var(--open); }

/* figures are drawn on white: in the dark they lie on a card of it */
figure { margin: 1.5rem 0; overflow-x: auto; }
figure img, .nb img { background: #fff; border-radius: 4px; }
figure img { display: block; width: 100%; min-width: 40rem; max-width: 76rem; }
.nb img { max-width: 100%; height: auto; }
figcaption { position: sticky; left: 0; } figcaption, .small { font-size: .85rem; opacity: .8; }

pre, code { font: .85rem/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; background: var(--soft); padding: .6rem .8rem; border-radius: 4px; }
.output_area pre, .failure { white-space: pre-wrap; }
.failure { padding-left: .8rem; border-left: 4px solid var(--bad); }
details { margin: .6rem 0; border: 1px solid var(--line); border-radius: 6px;
  padding: .4rem .9rem; }
summary { cursor: pointer; font-weight: 600; }
nav p { margin: .4rem 0; font-size: .9rem; } nav a { margin-right: .8rem; }

/* on a telephone each verdict is a card: no column is out of sight */
@media (max-width: 44rem) {
  h1 { font-size: 1.6rem; }
  .verdicts thead { display: none; } .verdicts tr, .verdicts td { display: block; }
  .verdicts tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .verdicts td { border: 0; padding: .05rem 0; white-space: normal !important; }
  .verdicts td:nth-child(5)::before { content: "claimed: "; opacity: .7; }
  .verdicts td:nth-child(6)::before { content: "measured: "; opacity: .7; }
  .verdicts td:nth-child(7)::before { content: "seeds: "; opacity: .7; }
  .verdicts td:nth-child(8):not(:empty)::before { content: "note: "; opacity: .7; }
}
"""
