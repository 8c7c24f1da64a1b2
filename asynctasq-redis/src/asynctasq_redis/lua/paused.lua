-- The names of paused queues.

return call('SMEMBERS', P .. 'paused')
