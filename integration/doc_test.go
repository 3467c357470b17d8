// Package integration_test tells stories with the program as people have it:
// real daemons, real FUSE mounts, real WebRTC, and the editors and shells that
// people use. Nothing of the product is linked in; a story knows the program by
// its command line, its mounts, and the JSON that it prints.
//
// # How a story is told
//
// A vault is one person's machine: a home directory, a daemon, a mount. Commands
// are run with run and json, programs in the mount with sh and in a terminal with
// open. The process of the tests never touches a mount: all of that is done by
// children with a deadline, so that a hung daemon fails a test and not the
// whole run. Every child has a session of its own, as programs in different
// terminals have.
//
// Two vaults share a space by a real invitation (pair). They lose each other by
// a restart without network, or, where the tests may make network namespaces,
// by a cut cable (see cable).
//
// Stories about several users take place in a mount namespace of their own (see
// den), in which everybody may open /dev/fuse.
//
// # What every story checks
//
// A daemon that is stopped ends with success and leaves no mount; a log that
// speaks of a panic or a data race fails the test; at the end of all tests no
// mount and no process of the program is left.
//
// # Environment
//
// CI=true turns missing programs from a reason to skip into a failure, and loads
// an export into the TypeScript client. ECHOFS_TEST_DXOS=1 does the latter alone.
// ECHOFS_SOAK=1 runs the long forms.
package integration_test
