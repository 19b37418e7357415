"""The one style sheet of the evidence page: for phones first, light and dark, and for paper.

Contrast of text is at least 4.5 to 1 (WCAG 2.2, 1.4.3), what is tapped is at least 48 px high (2.5.8 asks for 24).
"""

STYLE = """
:root{--paper:#fff;--card:#f4f5f7;--ink:#15181c;--faint:#5a6270;--line:#d5d9df;--alarm:#b3261e;--on-alarm:#fff;
--warning:#f2b300;--on-warning:#1d1600;--over:#1d6f42;--on-over:#fff;--deed:#0b57a4;--on-deed:#fff}
@media (prefers-color-scheme:dark){:root{--paper:#101316;--card:#1b2025;--ink:#eceff2;--faint:#a5adb8;--line:#39414a;
--alarm:#ff8a80;--on-alarm:#2b0500;--warning:#ffc933;--on-warning:#1d1600;--over:#7fd6a2;--on-over:#03220f;
--deed:#8cc2ff;--on-deed:#00213f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
main{max-width:46rem;margin:0 auto;padding:0 1rem 2rem}
header{margin:0 -1rem;padding:1rem;border-bottom:.375rem solid var(--tone);background:var(--card)}
header.alarm{--tone:var(--alarm);--on-tone:var(--on-alarm)}
header.warning{--tone:var(--warning);--on-tone:var(--on-warning)}
header.over{--tone:var(--over);--on-tone:var(--on-over)}
header p{margin:.25rem 0 0}
h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0 0}
h2{font-size:1.1875rem;line-height:1.3;margin:0 0 .5rem}
h3{font-size:1rem;margin:0;font-weight:600}
.badge{display:inline-block;margin:0;padding:.125rem .75rem;border-radius:1rem;background:var(--tone,var(--ink));
color:var(--on-tone,var(--paper));font-weight:700;letter-spacing:.02em}
.place,.faint,footer,.history time{color:var(--faint)}
.place,footer{font-size:.9375rem}
.state{font-weight:600}
section{padding:1.25rem 0;border-bottom:1px solid var(--line)}
section.alone{border:0;padding-top:3rem}
p{margin:0 0 .5rem}
ul,ol{margin:0 0 .5rem;padding-left:1.25rem}
.lead{font-size:1.125rem;font-weight:600}
dl{display:grid;grid-template-columns:minmax(6.5rem,auto) 1fr;gap:.25rem 1rem;margin:0}
dt{color:var(--faint)}
dd{margin:0}
a{color:var(--deed)}
nav{display:flex;gap:.5rem;position:sticky;top:0;z-index:1;margin:0 -1rem;padding:.5rem 1rem;background:var(--paper);
border-bottom:1px solid var(--line)}
nav a{flex:1;min-height:3rem;display:flex;align-items:center;justify-content:center;border:2px solid var(--deed);
border-radius:.5rem;text-align:center;text-decoration:none;font-weight:600;line-height:1.15;padding:.25rem}
.number{padding:.75rem;margin:0 0 .75rem;background:var(--card);border-radius:.5rem}
.number:last-child{margin:0}
.value{font-size:1.75rem;line-height:1.2;font-weight:700;margin:.125rem 0 .375rem}
.value.alarm{color:var(--alarm)}
.trend{display:block;width:100%;max-width:30rem;height:auto;background:var(--card);border-radius:.5rem}
.trend text{font-size:13px;fill:var(--faint)}
.trend .axis{stroke:var(--faint)}
.trend .limit{stroke:var(--alarm);stroke-width:2;stroke-dasharray:8 4}
.trend .limit-name{fill:var(--alarm);font-weight:600}
.trend .curve{fill:none;stroke:var(--deed);stroke-width:2.5;stroke-linejoin:round}
.trend .point{fill:var(--deed)}
figure{margin:0;background:#fff;border-radius:.5rem;overflow:hidden}
img{display:block;width:100%;height:auto}
.answer{scroll-margin-top:4.5rem}
label{display:block;font-weight:600;margin:.75rem 0 .25rem}
input,select,textarea,button{font:inherit;width:100%;border-radius:.5rem}
input,select{min-height:3rem}
input,select,textarea{padding:.5rem .75rem;border:1px solid var(--faint);background:var(--paper);color:var(--ink)}
button{min-height:3.25rem;margin-top:1rem;padding:.5rem 1rem;border:0;background:var(--deed);color:var(--on-deed);
font-weight:700;cursor:pointer}
:focus-visible{outline:3px solid var(--deed);outline-offset:2px}
.noted,.error{margin:1rem 0 0;padding:.75rem 1rem;border-radius:.5rem;font-weight:600}
.noted{background:var(--over);color:var(--on-over)}
.error{background:var(--alarm);color:var(--on-alarm)}
.history{list-style:none;padding:0}
.history li{padding:.375rem 0}
.history time{display:block;font-size:.9375rem}
summary{min-height:3rem;display:flex;align-items:center;font-weight:600;cursor:pointer;color:var(--deed)}
footer{padding-top:1rem}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--faint:#333;--line:#999;--alarm:#b3261e;--on-alarm:#fff;
--deed:#000;--over:#1d6f42;--on-over:#fff;--warning:#f2b300;--on-warning:#1d1600}
nav,.answers,details{display:none}body{font-size:11pt}main{max-width:none}section{break-inside:avoid}
figure img{max-height:23cm;width:auto;margin:0 auto}.badge{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
