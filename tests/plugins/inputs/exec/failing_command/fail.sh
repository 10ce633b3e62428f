echo m v=1
echo went wrong >&2
echo more >&2
exit 3
