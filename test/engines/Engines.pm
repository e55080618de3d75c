# What the tests of examples/ share: programs, the files of an example, extensions of others.
package Engines;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(program example documented need_extensions);

# The path of a program, or of "python"; without it, the test file skips.
sub program
{
	my ($name) = @_;
	my $path = ($ENV{PSEUDO_ENGINES} // '') . "/$name";

	plan skip_all => "$name is missing" unless -x $path;
	return $path;
}

# A file of examples/, with places in it changed as the test needs them: each must be there.  Returns the text.
sub example
{
	my ($path, %change) = @_;
	my $text = slurp_file("$FindBin::RealBin/../../examples/$path");

	for my $place (sort keys %change)
	{
		$text =~ s/\Q$place\E/$change{$place}/g or die "$path has no \"$place\"";
	}
	return $text;
}

# Each block of a section of doc/scale.md is in a file of an example, apart from comments.
sub documented
{
	my ($heading) = @_;
	my $bare = sub { $_[0] =~ s/^(?:--|#|;).*\n|^\n//mgr };
	my @files = map { $bare->(slurp_file($_)) } grep { -f } glob("$FindBin::RealBin/../../examples/{*/*,*/*/*}");
	my ($section) = slurp_file("$FindBin::RealBin/../../doc/scale.md") =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms or die $heading;

	for my $block ($section =~ /^```\w*\n(.*?)^```$/gms)
	{
		my ($first) = $block =~ /(.*)/;
		ok(scalar(grep { index($_, $bare->($block)) >= 0 } @files), "doc/scale.md, $heading: an example has \"$first\"");
	}
}

# Without these extensions the test file skips.
sub need_extensions
{
	my $folder = `pg_config --sharedir` =~ s/\s+$//r . '/extension';

	-e "$folder/$_.control" or plan skip_all => "$_ is not installed beside this PostgreSQL" for @_;
}

1;
