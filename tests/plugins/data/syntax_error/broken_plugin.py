def provision_cluster(:
