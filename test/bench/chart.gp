# The README's chart, from a file of name, nanoseconds, and 1 where the bar is ours.
#
#	gnuplot -c chart.gp speed.tsv speed.svg

set terminal svg size 760,360 noenhanced font "sans-serif,13" background "white"
set output ARG2
set datafile separator "\t"
stats ARG1 using 2 nooutput
set yrange [-0.7 : STATS_records - 0.3]
set xrange [0 : STATS_max * 1.12]
set style fill solid 1 noborder
set border 0
set tics scale 0
set ytics textcolor "#24292f"
unset xtics
set lmargin 30
set tmargin 2
set title "Nanoseconds a value, above count(email)" textcolor "#24292f" font ",15"
plot ARG1 using (0):0:(0):2:($0 - 0.34):($0 + 0.34):($3 == 1 ? 0x2f6fab : 0xb8bec6):ytic(1) with boxxyerror lc rgb variable notitle, \
	"" using 2:0:(sprintf("%.0f", $2)) with labels left offset 0.6,0 textcolor "#24292f" notitle
