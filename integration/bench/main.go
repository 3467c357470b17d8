package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"echofs/echo/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := role(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// role is what this process is: a worker of the engine, the server of the bare
// file system, an application, one end of a connection, or the conductor.
func role(ctx context.Context, args []string) error {
	if engine.IsWorker() {
		return engine.Main(os.Stdin, os.Stdout)
	}
	if len(args) > 0 {
		switch args[0] {
		case "bare":
			return serveBare(args[1:], os.Stdin, os.Stdout)
		case "work":
			return work(os.Stdin, os.Stdout)
		case "far":
			return far(os.Stdin, os.Stdout)
		case "idle":
			return idle(args[1:], os.Stdout)
		}
	}
	return conduct(ctx, args)
}

// conduct measures everything and writes the report.
func conduct(ctx context.Context, args []string) error {
	fl := flag.NewFlagSet("bench", flag.ContinueOnError)
	program := fl.String("echofs", "bin/echofs", "the program to measure")
	output := fl.String("o", "", "a file between whose markers the figures are written")
	mesh := fl.Bool("mesh", false, "measure the mesh instead: two daemons in a network of their own")
	parent := fl.String("room", "/var/tmp", "where the files of the run lie: on the disk to compare with")
	only := fl.String("only", "", "the steps to take, with commas between: create, save, list, merge, join, see, kilos, many")
	if err := fl.Parse(args); err != nil {
		return err
	}
	if *mesh && os.Getenv(insideEnv) == "" {
		return enter(ctx, args)
	}
	c := &conductor{size: fullSize(), short: os.Getenv("BENCH_SHORT") != "", long: os.Getenv("BENCH_LONG") != "", only: *only}
	switch {
	case c.short:
		c.size = shortSize()
	case c.long:
		c.size = longSize()
	}
	var err error
	if c.program, err = filepath.Abs(*program); err != nil {
		return err
	}
	if c.room, err = os.MkdirTemp(*parent, "echofs-bench-"); err != nil {
		return fmt.Errorf("make a directory for the run: %w", err)
	}
	measure, marks := c.run, everything
	if *mesh {
		measure, marks = c.meshAlone, meshPart
	}
	err = measure(ctx)
	if err = errors.Join(err, c.clean()); err != nil {
		return err
	}
	text := c.report.markdown()
	if *mesh {
		text = c.report.meshMarkdown()
	}
	if _, err := os.Stdout.WriteString(text); err != nil || *output == "" {
		return err
	}
	return marks.replace(*output, text)
}
