# The chart of doc/performance.md, from a file of names, nanoseconds, and 1 where the bar is ours.
#
#	gnuplot -c chart.gp speed.tsv speed.svg

set terminal svg size 760,350 noenhanced font "sans-serif,13" background "white"
set output ARG2
set datafile separator "\t"
stats ARG1 using 2 nooutput
set yrange [-0.6 : STATS_records - 0.4]
set xrange [0 : STATS_max * 1.1]
set margins screen 0.36, screen 0.98, screen 0.03, screen 0.86
set style fill solid 1 noborder
set border 0
set tics scale 0
set ytics textcolor "#24292f"
unset xtics
set label "Nanoseconds a value, above count(email)" at screen 0.36, screen 0.93 left font ",15" textcolor "#24292f"
plot ARG1 using (0):0:(0):2:($0 - 0.34):($0 + 0.34):($3 == 1 ? 0x2f6fab : 0xb8bec6):ytic(1) with boxxyerror lc rgb variable notitle, \
	"" using 2:0:(sprintf("%.0f", $2)) with labels left offset 0.6,0 textcolor "#24292f" notitle
