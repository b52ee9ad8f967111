package main

var identities = []scenario{}
