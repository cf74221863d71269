larder proxy --protocol resp --listen 127.0.0.1:12345 --upstream 127.0.0.1:6379
larder proxy --protocol memcached --servers servers.txt
larder proxy --cluster 127.0.0.1:7000 127.0.0.1:7001
larder proxy --demo
