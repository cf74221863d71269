larder invalidate --servers servers.txt
printf 'set user:42 0 0 1\r\nx\r\nquit\r\n' | nc 127.0.0.1 1987
larder invalidate --inspect
