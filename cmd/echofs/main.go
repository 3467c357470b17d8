// Command echofs mounts ECHO spaces as folders.
package main

import (
	"os"

	"echofs/cmd/echofs/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[0], os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
