// The real etcd 3.7 and bbolt as one program: the first argument says which tool to be.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	bbolt "go.etcd.io/bbolt/cmd/bbolt/command"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/pkg/v3/cobrautl"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: oracle etcd|etcdctl|etcdutl|bbolt [arguments]")
		os.Exit(2)
	}
	// Every tool reads os.Args itself, so the tool's name moves to the front.
	os.Args = os.Args[1:]
	switch os.Args[0] {
	case "etcd":
		etcdmain.Main(os.Args)
	case "etcdctl":
		ctlv3.MustStart()
	case "etcdutl":
		runEtcdutl()
	case "bbolt":
		runBbolt()
	default:
		fmt.Fprintf(os.Stderr, "oracle: unknown tool %q\n", os.Args[0])
		os.Exit(2)
	}
}

// runEtcdutl stands in for the root command that upstream keeps in its package main.
func runEtcdutl() {
	root := &cobra.Command{Use: "etcdutl"}
	flags := root.PersistentFlags()
	flags.StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple", "output format")
	flags.DurationVar(&etcdutl.FlockTimeout, "timeout", 10*time.Second, "how long to wait for the file lock, 0 for ever")
	root.AddCommand(
		etcdutl.NewCompletionCommand(),
		etcdutl.NewDefragCommand(),
		etcdutl.NewHashKVCommand(),
		etcdutl.NewMigrateCommand(),
		etcdutl.NewSnapshotCommand(),
		etcdutl.NewVersionCommand(),
	)
	if err := root.Execute(); err != nil {
		cobrautl.ExitWithError(cobrautl.ExitError, err)
	}
}

// runBbolt undoes the prefix matching that linking etcdctl switches on for the whole program:
// bbolt on its own refuses shortened command names.
func runBbolt() {
	cobra.EnablePrefixMatching = false
	if bbolt.NewRootCommand().Execute() != nil {
		os.Exit(1)
	}
}
