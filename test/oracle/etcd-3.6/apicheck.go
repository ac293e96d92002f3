package main
func runAPICheck(args []string) {}
