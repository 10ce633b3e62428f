#!/bin/sh
printf 'said,n=%s v="%s"\n' "$#" "$1"
