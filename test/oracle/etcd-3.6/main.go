// The real etcd 3.6 and our own clients of a server as one program: the first argument says which tool to be.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/pkg/v3/cobrautl"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: oracle etcd|etcdctl|etcdutl|load|bench|linear|stall|kube|apicheck|authmatrix [arguments]")
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
	case "load":
		runLoad(os.Args[1:])
	case "bench":
		runBench(os.Args[1:])
	case "linear":
		runLinear(os.Args[1:])
	case "stall":
		runStall(os.Args[1:])
	case "kube":
		runKube(os.Args[1:])
	case "apicheck":
		runAPICheck(os.Args[1:])
	case "authmatrix":
		runAuthMatrix(os.Args[1:])
	default:
		fmt.Fprintf(os.Stderr, "oracle: unknown tool %q\n", os.Args[0])
		os.Exit(2)
	}
}

// runEtcdutl stands in for the root command that upstream keeps in its package main.
func runEtcdutl() {
	root := &cobra.Command{Use: "etcdutl"}
	root.PersistentFlags().StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple", "output format")
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
