-- List the names of paused queues.

return call('HKEYS', P .. 'paused')
