#!/bin/sh
printf 'up{job="a"} 1\nno number\nup{job="b"} 0\n'
cat >/dev/null
