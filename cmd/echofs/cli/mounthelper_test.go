package cli_test

import (
	"slices"
	"strings"
	"testing"

	"echofs/cmd/echofs/cli"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"/usr/bin/echofs", "mount -d x", "mount -d x"},
		{"/sbin/mount.fuse.echofs", "echofs /mnt/e", "mount -d -- /mnt/e"},
		{"mount.echofs", "/home/ada/vault /mnt/e -o rw,noauto,user,x-systemd.automount,ro,allow_other", "--home /home/ada/vault mount -d --read-only --allow-other -- /mnt/e"},
		{"mount.echofs", "-n none /mnt/e -v -t fuse.echofs -o space=notes,offline", "mount -d --space notes --offline -- /mnt/e"},
	} {
		got, err := cli.CommandLine(c.name, strings.Fields(c.args))
		if err != nil || !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s %s: got %q, %v, want %s", c.name, c.args, got, err, c.want)
		}
	}
	for _, args := range []string{"", "echofs", "echofs /mnt/e -o evil", "echofs /a /b"} {
		if got, err := cli.CommandLine("mount.echofs", strings.Fields(args)); err == nil {
			t.Errorf("%q: got %q, want an error", args, got)
		}
	}
}
