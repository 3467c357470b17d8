// Command bench measures echofs as people use it, beside what it is compared
// with, and writes the figures as Markdown.
//
//	bench [-echofs FILE] [-o FILE] [-room DIR]
//
// # What is compared
//
// Three places take the same work in turn, in one run, because only ratios mean
// something on a machine that others use too:
//
//   - disk: a directory of the file system that the vaults lie on;
//   - bare: a FUSE file system in memory which does nothing but answer, served
//     by a process of its own with the mount options and caching of package fs.
//     It is the ceiling: what a mount costs before anything is stored;
//   - echofs: a daemon with a vault, mounted, online at a rendezvous.
//
// Work is cut into rounds, and each round visits every place. A figure is the
// minimum, the median and the 99th percentile of all its samples; where the 99th
// of few samples would be the largest, it is the largest.
//
// # Who does what
//
// The conductor (this process) starts everything and never serves a mount. A
// worker (this program again, with the argument "work") does what an application
// would: it makes and saves files, without starting a process for each. Listing
// and searching are done by ls and grep. Two daemons that replicate are two
// vaults of two identities, which met by invite and join, over WebRTC on the
// loopback interface. Only the cost of merging is measured inside this process,
// on echo.Repo with the real engine and the real store, because a history of ten
// thousand saves has to be made first.
//
// Before each measurement the daemon is given time to be done with the previous
// one: until it uses no processor time.
//
// Everything lies in one directory, which is removed at the end, also after an
// error or an interrupt. BENCH_SHORT=1 does a tenth of the work.
package main
