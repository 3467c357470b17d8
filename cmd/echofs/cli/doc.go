// Package cli is the command line of echofs: one file per subcommand. A
// command reads its flags, makes one call of the local API (package control),
// and prints the answer; what is done is decided behind that API (package
// vault), in the daemon that has the vault or, where none runs, in the
// command's own process.
//
// Data goes to stdout, as text for people or, with --json, as one JSON document
// (streams: one a line). Messages, prompts and progress go to stderr; progress
// is shown on terminals only. The exit status is 0 for done, and else comes
// from the error by the table in package control.
package cli
