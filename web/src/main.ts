import './app.css'
import { mount } from 'svelte'
import App from './App.svelte'
import { root } from './lib/api/client'
import { app } from './lib/app.svelte'
import { endEarly } from './lib/early'
import { watchPage } from './lib/stream/follow'

// Some browsers resolve a relative base again after navigation, so make it absolute.
document.querySelector('base')?.setAttribute('href', root.href)

endEarly()
app.start()
watchPage()
mount(App, { target: document.getElementById('app')! })
