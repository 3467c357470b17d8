package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"echofs/cmd/echofs/control"
)

// helperNames are the names by which mount(8) calls the program that mounts a
// type of file system, with the arguments SOURCE DIR [-sfnv] [-o OPTIONS] [-t TYPE].
var helperNames = []string{"mount.echofs", "mount.fuse.echofs"}

// CommandLine returns the arguments of a program that was called by a name: its
// own, or, where it was called as mount(8) calls, those of `mount -d`. The source
// is the directory of a vault, or any word without a slash for the usual one.
func CommandLine(name string, args []string) ([]string, error) {
	base := filepath.Base(name)
	if base != helperNames[0] && base != helperNames[1] {
		return args, nil
	}
	var places, options []string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case (arg == "-o" || arg == "-t" || arg == "-N") && i+1 < len(args):
			if i++; arg == "-o" {
				options = append(options, strings.Split(args[i], ",")...)
			}
		case strings.HasPrefix(arg, "-"): // verbose, sloppy, not in mtab
		default:
			places = append(places, arg)
		}
	}
	if len(places) != 2 {
		return nil, fmt.Errorf("%s SOURCE DIR [-o OPTIONS]: got %q: %w", base, args, control.ErrUsage)
	}
	var out []string
	if strings.Contains(places[0], "/") {
		out = append(out, "--home", places[0])
	}
	return mountOptions(append(out, "mount", "-d"), options, places[1])
}

// helperFlags are the options of mount(8) that are flags of `mount`; those with
// "=" have a value.
var helperFlags = map[string]string{"ro": "--read-only", "allow_other": "--allow-other", "xattr": "--xattr",
	"offline": "--offline", "no_lan": "--no-lan", "space=": "--space", "signal=": "--signal", "ice=": "--ice"}

// helperIgnored are options for others, or such as every mount of echofs has.
const helperIgnored = " rw defaults user users owner group auto noauto nofail _netdev nosuid nodev noexec async relatime dev suid "

func mountOptions(out, options []string, dir string) ([]string, error) {
	for _, o := range options {
		name, value, hasValue := strings.Cut(o, "=")
		if hasValue {
			name += "="
		}
		flag, ok := helperFlags[name]
		switch {
		case ok && hasValue:
			out = append(out, flag, value)
		case ok:
			out = append(out, flag)
		case o == "", strings.HasPrefix(o, "x-"), strings.Contains(helperIgnored, " "+strings.TrimSuffix(name, "=")+" "):
		default:
			return nil, fmt.Errorf("mount option %q is not known: %w", o, control.ErrUsage)
		}
	}
	return append(out, "--", dir), nil
}
